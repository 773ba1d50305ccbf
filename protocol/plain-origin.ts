/**
 * Plain HTTPS origins: any web server, bucket or CDN that has fragments as static files. A node asks one only
 * under a lease, proves what it gets by its digest, and tells the gate, which does not see those bytes.
 */
import { Type, type Static } from "typebox";
import { InstantSchema } from "./field-schemas.ts";
import { SiteNameSchema, type Digest } from "./ids.ts";
import { parserOf } from "./json.ts";
import { FRAGMENT_WIRE_MAX_BYTES } from "./limits.ts";

const closed = { additionalProperties: false } as const;
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

/** Origins that one site is told of; they are asked in their order. */
export const PLAIN_ORIGINS_MAX_COUNT = 8;
/** What one lease request may tell of fetches elsewhere: all that can be in flight, and as many ended ones. */
export const PLAIN_TOLD_MAX_COUNT = 64;

/** Without credentials, query or fragment: `/fragments/ab/<digest>` is put behind it. */
export const PlainOriginUrlSchema = Type.String({
  pattern: "^https://[A-Za-z0-9.\\[\\]:_-]{1,260}(/[A-Za-z0-9._~/%-]{0,300})?$",
  maxLength: 400,
});
const CertificateText = Type.String({ minLength: 100, maxLength: 16_384 });

/** As the roster names it to the nodes of a site. */
export const PlainOriginSchema = Type.Object(
  {
    url: PlainOriginUrlSchema,
    /** PEM of the only authority that its certificate may come from; absent: those of the system. */
    ca: Type.Optional(CertificateText),
  },
  closed,
);
export type PlainOrigin = Static<typeof PlainOriginSchema>;

/** Why a plain origin gave no fragment. */
export const PlainProblemSchema = Type.Enum([
  /** No connection, or its certificate is not trusted. */
  "unreachable",
  /** 404 or 410: it does not have the fragment. */
  "absent",
  /** Any other answer that is not 200. */
  "refused",
  /** It ended or fell silent before the last byte. */
  "broken",
  /** Other bytes than the digest says. */
  "corrupt",
]);
export type PlainProblem = Static<typeof PlainProblemSchema>;

/** One word of a node about one leased fragment; said again where the answer was lost. */
export const PlainFetchSchema = Type.Object(
  {
    /** Swarm index, as it was asked for. */
    index: Type.Integer({ minimum: 0, maximum: 4_300_000 }),
    origin: PlainOriginUrlSchema,
    /** `flowing`: bytes came since the last word, and the lease is still needed. */
    outcome: Type.Union([Type.Literal("flowing"), Type.Literal("done"), PlainProblemSchema]),
    /** What crossed the line for it and was of no use. */
    wastedBytes: Type.Integer({ minimum: 0, maximum: FRAGMENT_WIRE_MAX_BYTES }),
  },
  closed,
);
export type PlainFetch = Static<typeof PlainFetchSchema>;

/** Where a fragment lies below the URL of an origin; the same as in a coordinator's data folder. */
export function fragmentPath(digest: Digest): string {
  return `/fragments/${digest.slice(0, 2)}/${digest}`;
}

/** PUT /v1/origins: adds it, or replaces what was said of the same URL. */
export const OriginInputSchema = Type.Object(
  {
    url: PlainOriginUrlSchema,
    ca: Type.Optional(CertificateText),
    /** Absent: endpoints everywhere, also those at no site. */
    sites: Type.Optional(Type.Array(SiteNameSchema, { minItems: 1, maxItems: 10_000 })),
  },
  closed,
);
export type OriginInput = Static<typeof OriginInputSchema>;

/** POST /v1/origins/remove */
export const OriginRemovalSchema = Type.Object({ url: PlainOriginUrlSchema }, closed);
export const parseOriginRemoval = parserOf("the answer", OriginRemovalSchema);

/** An origin and what nodes told of it since the coordinator's start. */
export const OriginViewSchema = Type.Object({
  url: PlainOriginUrlSchema,
  sites: Type.Optional(Type.Array(SiteNameSchema)),
  /** Whether its authority is pinned. */
  hasCa: Type.Boolean(),
  addedAt: InstantSchema,
  /** Fragments and bytes that nodes have proven. */
  doneCount: Count,
  doneBytes: Count,
  problems: Type.Object(
    { unreachable: Count, absent: Count, refused: Count, broken: Count, corrupt: Count },
    closed,
  ),
  lastProblem: Type.Optional(PlainProblemSchema),
  lastProblemAt: Type.Optional(InstantSchema),
});
export type OriginView = Static<typeof OriginViewSchema>;
export const parseOriginView = parserOf("the origin", OriginViewSchema);

/** GET /v1/origins */
export const OriginsSchema = Type.Object({
  origins: Type.Array(OriginViewSchema),
  /** Raw Ed25519 public key in base64url: with it an edge checks lease tokens (`lease.ts`). */
  tokenKey: Type.String({ pattern: "^[A-Za-z0-9_-]{43}$" }),
});
export type Origins = Static<typeof OriginsSchema>;
export const parseOrigins = parserOf("the origins", OriginsSchema);
