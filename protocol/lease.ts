/**
 * Leases: nobody uses a site's WAN line without one (distribution 3.2). One lease covers one fragment
 * for one holder; the origin grants it, and serves only the bearer of its token.
 */
import { createHmac, sign, timingSafeEqual, type KeyObject } from "node:crypto";
import { Type, type Static } from "typebox";
import { DigestSchema, EndpointIdSchema, type Digest, type EndpointId } from "./ids.ts";
import { parserOf } from "./json.ts";
import { PLAIN_TOLD_MAX_COUNT, PlainFetchSchema } from "./plain-origin.ts";

const closed = { additionalProperties: false } as const;
const Index = Type.Integer({ minimum: 0, maximum: 4_300_000 });

/** Fragments one request may name, and the most it is granted: about 60 requests per package and site. */
export const LEASE_MAX_FRAGMENTS = 32;

/** Why a node asks for a fragment that its site already holds or fetches. Counted and rate-limited. */
export const ForceReasonSchema = Type.Enum(["holderUnreachable", "noProgress"]);
export type ForceReason = Static<typeof ForceReasonSchema>;

export const LeaseRequestSchema = Type.Object(
  {
    /** SHA-256 of the manifest. */
    manifest: DigestSchema,
    /** Swarm indices wanted from the origin, in the order of wish. */
    want: Type.Array(Index, { maxItems: LEASE_MAX_FRAGMENTS }),
    /** Grant no more of them than this: towards the end nobody takes all that is left. */
    most: Type.Optional(Type.Integer({ minimum: 1, maximum: LEASE_MAX_FRAGMENTS })),
    /** Leases given back unused. */
    release: Type.Array(Index, { maxItems: LEASE_MAX_FRAGMENTS }),
    force: Type.Optional(ForceReasonSchema),
    /** What became of leased ones at plain HTTPS origins, where the gate does not see the bytes. */
    plain: Type.Optional(Type.Array(PlainFetchSchema, { maxItems: PLAIN_TOLD_MAX_COUNT })),
    /** What was sent to this endpoint is no longer there: nobody is to be sent to it for a fragment. */
    isGone: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type LeaseRequest = Static<typeof LeaseRequestSchema>;

export const LeaseAnswerSchema = Type.Object(
  {
    grants: Type.Array(
      Type.Object(
        {
          index: Index,
          digest: DigestSchema,
          /** Goes with the request for the fragment; see `leaseToken`. */
          token: Type.String({ maxLength: 200 }),
          /** Duration rather than an instant: clocks of endpoints are not trusted. */
          ttlMs: Type.Integer({ minimum: 1, maximum: 600_000 }),
        },
        closed,
      ),
      { maxItems: LEASE_MAX_FRAGMENTS },
    ),
    /** Who holds the refused ones: ask them on the LAN. */
    leased: Type.Array(
      Type.Object({ index: Index, holder: EndpointIdSchema, isServed: Type.Boolean() }, closed),
      { maxItems: LEASE_MAX_FRAGMENTS },
    ),
    /** Of `plain`, what the gate knows no grant of: it may have been started anew, and gives it to others. */
    lapsed: Type.Optional(Type.Array(Index, { maxItems: PLAIN_TOLD_MAX_COUNT })),
    /** The site's line carries packages in the background: whoever fetches measures it meanwhile. */
    isBackground: Type.Optional(Type.Boolean()),
    /** Endpoints of the site that hold leases now, the asker included: they share the line. */
    holders: Type.Optional(Type.Integer({ minimum: 0, maximum: 1000 })),
    /** Ask again not before this long. */
    retryAfterMs: Type.Integer({ minimum: 0, maximum: 600_000 }),
  },
  closed,
);
export type LeaseAnswer = Static<typeof LeaseAnswerSchema>;
export const parseLeaseAnswer = parserOf("the lease answer", LeaseAnswerSchema);

/**
 * A token says who was granted what; whether the lease is still in force is the gate's knowledge when the
 * token is shown. It therefore outlives every renewal that progress gives to the lease.
 */
export const LEASE_TOKEN_LIFE_MS = 600_000;

/**
 * A lease lives for at least so long after the gate heard of its holder. Whoever shows a token where the gate
 * is not asked may do so within this time only.
 */
export const LEASE_QUIET_MS = 5000;

/**
 * Token of one lease: `expiresMs.holder.mac`, all that the coordinator itself looks at. Where plain origins
 * are in use a signature follows, see `signedLeaseToken`.
 */
export function leaseToken(
  secret: Uint8Array,
  digest: Digest,
  holder: EndpointId,
  expiresMs: number,
): string {
  return `${expiresMs}.${holder}.${macOf(secret, digest, holder, String(expiresMs))}`;
}

/**
 * `expiresMs.holder.mac.signature`: the Ed25519 signature, in base64url, of the four lines `lease`, digest of
 * the fragment, holder, expiresMs, joined by line feeds. Any HTTPS edge checks it with the fleet's public
 * token key, without asking the coordinator and without being able to make tokens.
 */
export function signedLeaseToken(token: string, digest: Digest, key: KeyObject): string {
  const [expiresMs = "", holder = ""] = token.split(".");
  const signature = sign(null, Buffer.from(leaseText(digest, holder, expiresMs)), key);
  return `${token}.${signature.toString("base64url")}`;
}

/** The holder, or undefined where the token is not for this fragment or has expired. */
export function leaseTokenHolder(
  secret: Uint8Array,
  digest: Digest,
  token: string,
  nowMs: number,
): string | undefined {
  const [expiresMs = "", holder = "", mac = ""] = token.split(".");
  const expected = Buffer.from(macOf(secret, digest, holder, expiresMs));
  const given = Buffer.from(mac);
  const isOurs = expected.length === given.length && timingSafeEqual(expected, given);
  return isOurs && Number(expiresMs) > nowMs ? holder : undefined;
}

function macOf(secret: Uint8Array, digest: string, holder: string, expiresMs: string): string {
  const text = leaseText(digest, holder, expiresMs);
  return createHmac("sha256", secret).update(text).digest("base64url").slice(0, 22);
}

function leaseText(digest: string, holder: string, expiresMs: string): string {
  return `lease\n${digest}\n${holder}\n${expiresMs}`;
}
