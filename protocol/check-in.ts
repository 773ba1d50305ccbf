/**
 * The uplink: joining, check-in and its answer. All requests of a node are signed by its own key; all
 * answers that matter are signed by keys pinned at join.
 */
import { Type, type Static } from "typebox";
import { EnvelopeSchema } from "./dsse.ts";
import { MacSchema, MetadataTextSchema, TimeMsSchema } from "./field-schemas.ts";
import { DigestSchema, EndpointIdSchema, EndpointNameSchema, SiteNameSchema } from "./ids.ts";
import { parserOf } from "./json.ts";
import { CHECK_IN_PERIOD_MAX_MS } from "./limits.ts";
import {
  CriterionSchema,
  DpCandidateSchema,
  IpTextSchema,
  LocationFactsSchema,
  MultiaddrSchema,
} from "./location.ts";
import { PLAIN_ORIGINS_MAX_COUNT, PlainOriginSchema } from "./plain-origin.ts";
import { SharingSchema, SitePolicySchema, WastedBytesSchema } from "./traffic.ts";

const closed = { additionalProperties: false } as const;
const Version = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Nonce = Type.String({ pattern: "^[0-9a-f]{32}$" });

/** Public description of a fleet; its digest is the pin inside every join token (trust E1). */
export const FleetSchema = Type.Object(
  {
    v: Type.Literal(1),
    /** First 16 hexadecimal digits of the catalog root's digest. */
    fleet: Type.String({ pattern: "^[0-9a-f]{16}$" }),
    catalogRoot: MetadataTextSchema,
    directorRoot: MetadataTextSchema,
    /** PEM of the coordinator's own certificate; absent behind a proxy with a public one. */
    tlsCertificate: Type.Optional(Type.String({ maxLength: 8192 })),
  },
  closed,
);
export type Fleet = Static<typeof FleetSchema>;
export const parseFleet = parserOf("the fleet description", FleetSchema);

/** Signed (type "join") by the key that joins; `proof` is HMAC-SHA256(token secret, canonical rest). */
export const JoinRequestSchema = Type.Object(
  {
    v: Type.Literal(1),
    endpoint: EndpointIdSchema,
    name: EndpointNameSchema,
    token: Type.String({ pattern: "^[0-9a-f]{16}$" }),
    nonce: Nonce,
    timeMs: TimeMsSchema,
    proof: DigestSchema,
  },
  closed,
);
export type JoinRequest = Static<typeof JoinRequestSchema>;
export const parseJoinRequest = parserOf("the join request", JoinRequestSchema);

export const JoinAnswerSchema = Type.Object(
  {
    endpoint: EndpointIdSchema,
    /** The name in use; differs from the asked one where that was taken by another endpoint. */
    name: EndpointNameSchema,
    site: SiteNameSchema,
  },
  closed,
);
export type JoinAnswer = Static<typeof JoinAnswerSchema>;
export const parseJoinAnswer = parserOf("the join answer", JoinAnswerSchema);

/** Bytes by source class since the node's first start; they only grow. */
export const SourceBytesSchema = Type.Object(
  { local: Version, peer: Version, dp: Version, origin: Version },
  closed,
);
export type SourceBytes = Static<typeof SourceBytesSchema>;

/** What requirements and groups ask about; small, and only what changes seldom. */
export const SystemFactsSchema = Type.Object(
  {
    osName: Type.String({ maxLength: 100 }),
    osVersion: Type.String({ maxLength: 60 }),
    /** A workstation or a server edition of the system (SE-24, SE-25). */
    isServer: Type.Boolean(),
    memoryBytes: Version,
    /** Of the disk below the data folder, in whole GB, so that it does not change at every check-in. */
    freeDiskGb: Type.Integer({ minimum: 0, maximum: 1_000_000_000 }),
    /** When the system started, by its own clock, in whole minutes. */
    bootMs: TimeMsSchema,
    /** Whether somebody is logged in at a screen or terminal. */
    hasUser: Type.Boolean(),
    /** Hardware addresses of wired interfaces, for Wake-on-LAN (OCO-7, OCO-12). */
    macs: Type.Array(MacSchema, { maxItems: 16 }),
    /** How long the node waits between two check-ins; absent: it does not say. */
    checkInMs: Type.Optional(Type.Integer({ minimum: 0, maximum: CHECK_IN_PERIOD_MAX_MS })),
  },
  closed,
);
export type SystemFacts = Static<typeof SystemFactsSchema>;

/** What package content takes of an endpoint's disk. */
export const CacheUseSchema = Type.Object(
  {
    usedBytes: Version,
    /** Of these, what is to stay: replicated for the site, or cached on request. */
    pinnedBytes: Version,
    quotaBytes: Version,
  },
  closed,
);
export type CacheUse = Static<typeof CacheUseSchema>;

/** Signed (type "check-in") by the endpoint. At most CHECK_IN_REQUEST_MAX_BYTES. */
export const CheckInRequestSchema = Type.Object(
  {
    v: Type.Literal(1),
    endpoint: EndpointIdSchema,
    /** Grows by one with every check-in; a replay or a clone shows here (trust E6). */
    counter: Version,
    nonce: Nonce,
    facts: LocationFactsSchema,
    listen: Type.Array(MultiaddrSchema, { maxItems: 16 }),
    os: Type.Enum(["linux", "win32", "darwin", "other"]),
    arch: Type.String({ maxLength: 20 }),
    nodeVersion: Type.String({ maxLength: 40 }),
    /** Versions held; the answer carries only what is newer. 0 = none. */
    held: Type.Object(
      {
        directive: Version,
        catalog: Version,
        catalogRoot: Version,
        directorRoot: Version,
        roster: Version,
        /** notAfterMs of the membership held. */
        membershipMs: TimeMsSchema,
        sessionMs: TimeMsSchema,
      },
      closed,
    ),
    bytes: SourceBytesSchema,
    system: Type.Optional(SystemFactsSchema),
    sharing: Type.Optional(SharingSchema),
    wasted: Type.Optional(WastedBytesSchema),
    cache: Type.Optional(CacheUseSchema),
  },
  closed,
);
export type CheckInRequest = Static<typeof CheckInRequestSchema>;
export const parseCheckInRequest = parserOf("the check-in", CheckInRequestSchema);

/** Signed (type "freshness") by the director's timestamp key, for one nonce (trust M8). */
export const FreshnessSchema = Type.Object(
  {
    v: Type.Literal(1),
    endpoint: EndpointIdSchema,
    nonce: Nonce,
    timeMs: TimeMsSchema,
    directiveVersion: Version,
    /** SHA-256 of the director's timestamp.json in force. */
    directiveDigest: DigestSchema,
    catalogVersion: Version,
    /** SHA-256 of the catalog's timestamp.json in force. */
    catalogDigest: DigestSchema,
  },
  closed,
);
export type Freshness = Static<typeof FreshnessSchema>;
export const parseFreshness = parserOf("the freshness statement", FreshnessSchema);

/** Signed (type "membership") by the director's timestamp key; shown to peers in HELLO (trust 3). */
export const MembershipSchema = Type.Object(
  {
    v: Type.Literal(1),
    endpoint: EndpointIdSchema,
    fleet: Type.String({ pattern: "^[0-9a-f]{16}$" }),
    site: SiteNameSchema,
    role: Type.Enum(["agent", "dp"]),
    notAfterMs: TimeMsSchema,
  },
  closed,
);
export type Membership = Static<typeof MembershipSchema>;
export const parseMembership = parserOf("the membership", MembershipSchema);

/** Signed (type "roster") by the director's timestamp key: who shares with this endpoint, right now. */
export const RosterSchema = Type.Object(
  {
    v: Type.Literal(1),
    endpoint: EndpointIdSchema,
    version: Version,
    /** Absent: the endpoint is at no site, has no DP and no peers (MYP-26, BR-6). */
    site: Type.Optional(SiteNameSchema),
    /** Fencing number of the site's membership. */
    epoch: Version,
    /** The site's ordered criteria; the agent checks them against its own facts. */
    criteria: Type.Array(CriterionSchema, { maxItems: 256 }),
    /** The address that the coordinator saw, for `publicAddress` criteria. */
    publicAddress: IpTextSchema,
    dps: Type.Array(DpCandidateSchema, { maxItems: 16 }),
    peers: Type.Array(
      Type.Object(
        {
          endpoint: EndpointIdSchema,
          addresses: Type.Array(MultiaddrSchema, { maxItems: 16 }),
          /** Whether it serves others at all by its own judgement; absent: yes. */
          isSharing: Type.Optional(Type.Boolean()),
        },
        closed,
      ),
      { maxItems: 500 },
    ),
    /** Members that nobody is to deal with: they sent wrong bytes, or are said to (distribution 5.5). */
    barred: Type.Optional(Type.Array(EndpointIdSchema, { maxItems: 500 })),
    /** What operators set for the site. */
    policy: Type.Optional(SitePolicySchema),
    /** HTTPS servers that have fragments too: asked under a lease, in this order, before the coordinator. */
    origins: Type.Optional(Type.Array(PlainOriginSchema, { maxItems: PLAIN_ORIGINS_MAX_COUNT })),
    /** This node broadcasts these in its own subnets, once per id (OCO-7, OCO-12). */
    wakes: Type.Optional(
      Type.Array(
        Type.Object(
          {
            id: Type.String({ pattern: "^[0-9A-Za-z-]{1,64}$" }),
            macs: Type.Array(MacSchema, {
              minItems: 1,
              maxItems: 256,
            }),
          },
          closed,
        ),
        { maxItems: 32 },
      ),
    ),
  },
  closed,
);
export type Roster = Static<typeof RosterSchema>;
export const parseRoster = parserOf("the roster", RosterSchema);

const FilesSchema = Type.Record(
  Type.String({ pattern: "^[0-9a-z.-]{1,80}$" }),
  MetadataTextSchema,
  // Without this a record lets other names through.
  { ...closed, maxProperties: 600 },
);
/** TUF files by their name in the repository, such as `timestamp.json` or `3.root.json`. */
export type MetadataFiles = Static<typeof FilesSchema>;

/** An unchanged endpoint gets `freshness` alone. At most CHECK_IN_ANSWER_MAX_BYTES. */
export const CheckInAnswerSchema = Type.Object(
  {
    freshness: EnvelopeSchema,
    directive: Type.Optional(FilesSchema),
    catalog: Type.Optional(FilesSchema),
    roster: Type.Optional(EnvelopeSchema),
    membership: Type.Optional(EnvelopeSchema),
    /** Bearer text for leases, manifests and reports, and when it ends. */
    session: Type.Optional(
      Type.Object({ bearer: Type.String({ maxLength: 400 }), notAfterMs: TimeMsSchema }, closed),
    ),
  },
  closed,
);
export type CheckInAnswer = Static<typeof CheckInAnswerSchema>;
export const parseCheckInAnswer = parserOf("the check-in answer", CheckInAnswerSchema);
