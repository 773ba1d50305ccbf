/**
 * Manners of the exchange: what a site's line may be used for, what an endpoint can give to its neighbours,
 * and the account of every byte (distribution 5.4, 5.6).
 */
import { Type, type Static } from "typebox";
import { DryRunSchema, InstantSchema } from "./field-schemas.ts";
import {
  DigestSchema,
  EndpointNameSchema,
  PackageNameSchema,
  PackageVersionSchema,
  SiteNameSchema,
} from "./ids.ts";
import { parserOf } from "./json.ts";

const closed = { additionalProperties: false } as const;
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
/** From 8 kbit/s, below which a fragment outlives its request, to 1 Tbit/s. */
const BytesPerSec = Type.Integer({ minimum: 1000, maximum: 125_000_000_000 });

/** What operators set for a site; what is absent is not limited. Goes to its nodes in the roster. */
export const SitePolicySchema = Type.Object(
  {
    /** Most that packages may use of the line into the site, headers included. */
    downBytesPerSec: Type.Optional(BytesPerSec),
    /** Time frames outside of which no transfer over the line begins; see time-frame.ts. */
    hours: Type.Optional(Type.String({ minLength: 1, maxLength: 2000 })),
    /** Zone of the hours; the coordinator's by default. */
    zone: Type.Optional(Type.String({ minLength: 1, maxLength: 60 })),
    /** Most that one node sends to its neighbours, on top of its own limit. */
    peerUploadBytesPerSec: Type.Optional(BytesPerSec),
    /** Whether packages give way to other traffic on the line; `foreground` takes what it gets. */
    class: Type.Optional(Type.Enum(["background", "foreground"])),
  },
  closed,
);
export type SitePolicy = Static<typeof SitePolicySchema>;

/** PUT /v1/sites/{site}/policy replaces the whole policy; an empty one removes all limits. */
export const SitePolicyCallSchema = Type.Object(
  { ...SitePolicySchema.properties, isDryRun: DryRunSchema },
  closed,
);
export type SitePolicyCall = Static<typeof SitePolicyCallSchema>;
export const SitePolicyAnswerSchema = Type.Object({
  site: SiteNameSchema,
  policy: SitePolicySchema,
});
export type SitePolicyAnswer = Static<typeof SitePolicyAnswerSchema>;
export const parseSitePolicyAnswer = parserOf("the site policy answer", SitePolicyAnswerSchema);

/** Why an endpoint serves few or no neighbours; absent: as many as a wired computer. */
export const SharingReasonSchema = Type.Enum([
  "batteryLow",
  "metered",
  "vpn",
  "wifi",
  "diskFull",
  "busy",
  "memoryLow",
  "off",
]);
export type SharingReason = Static<typeof SharingReasonSchema>;

/** What an endpoint gives to its neighbours right now, by its own judgement. */
export const SharingSchema = Type.Object(
  {
    /** Neighbours served at the same moment. */
    uploadSlots: Type.Integer({ minimum: 0, maximum: 64 }),
    reason: Type.Optional(SharingReasonSchema),
  },
  closed,
);
export type Sharing = Static<typeof SharingSchema>;

/** Bytes that crossed a wire and were of no use, since the node's start. */
export const WastedBytesSchema = Type.Object(
  {
    /** Did not match their digest. */
    corrupt: Count,
    /** Were here already when they arrived. */
    duplicate: Count,
  },
  closed,
);
export type WastedBytes = Static<typeof WastedBytesSchema>;

/**
 * POST /v1/line: one measurement of the line, answered after `heldMs`. The time that the exchange took beyond
 * that is the round trip, and goes with the next one.
 */
export const LineSampleSchema = Type.Object(
  { rttMs: Type.Optional(Type.Number({ minimum: 0, maximum: 600_000 })) },
  closed,
);
export const LineAnswerSchema = Type.Object({
  /** How long the coordinator kept the request, by its own clock. */
  heldMs: Type.Number({ minimum: 0, maximum: 600_000 }),
});
export const parseLineAnswer = parserOf("the line answer", LineAnswerSchema);

/** Why bytes went over a line: one name per account. */
export const WAN_REASONS = [
  /** First copy for the site. */
  "lease",
  /** Second copies: the node that has the first one did not pass it on, or nothing moved for long. */
  "holderUnreachable",
  "noProgress",
  /** The endpoint had been sent it before and no longer has it intact. */
  "refetched",
  /** Transfers that ended before their last byte. */
  "broken",
] as const;
export type WanReason = (typeof WAN_REASONS)[number];

export const WanBytesSchema = Type.Object(
  {
    lease: Count,
    holderUnreachable: Count,
    noProgress: Count,
    refetched: Count,
    broken: Count,
  },
  closed,
);
export type WanBytes = Static<typeof WanBytesSchema>;
export const NO_WAN_BYTES: WanBytes = {
  lease: 0,
  holderUnreachable: 0,
  noProgress: 0,
  refetched: 0,
  broken: 0,
};

const LanBytesSchema = Type.Object({ local: Count, peer: Count, dp: Count, origin: Count }, closed);

/** GET /v1/traffic?site=&package=: the account of bytes. */
export const TrafficSchema = Type.Object({
  /** One line per site and package that used the line or was reported from there. */
  sites: Type.Array(
    Type.Object({
      /** Of an endpoint at no site: its own name in `away`. */
      site: Type.String(),
      isAway: Type.Boolean(),
      package: PackageNameSchema,
      version: PackageVersionSchema,
      manifest: DigestSchema,
      /** Over the site's line, by reason, as the coordinator sent them or was told of plain origins. */
      wan: WanBytesSchema,
      /** Of `wan`, what plain HTTPS origins sent, as the endpoints tell; absent: nothing. */
      plainBytes: Type.Optional(Count),
      /** Once the package, where anything of it crossed the line. */
      expectedBytes: Count,
      /** All of `wan` ÷ `expectedBytes`; 0 while nothing crossed. */
      ratio: Type.Number(),
      /** What the site's endpoints report, by source. */
      sources: LanBytesSchema,
      endpointCount: Count,
    }),
  ),
  /** One line per endpoint and package. */
  endpoints: Type.Array(
    Type.Object({
      endpoint: EndpointNameSchema,
      site: Type.String(),
      package: PackageNameSchema,
      version: PackageVersionSchema,
      sources: LanBytesSchema,
    }),
  ),
});
export type Traffic = Static<typeof TrafficSchema>;
export type SiteTraffic = Traffic["sites"][number];
export type EndpointTraffic = Traffic["endpoints"][number];
export const parseTraffic = parserOf("the traffic", TrafficSchema);

/** A site's line as `status` shows it. */
export const StatusLineSchema = Type.Object({
  policy: SitePolicySchema,
  /** Whether transfers may begin now. */
  isOpen: Type.Boolean(),
  /** When that changes next, where hours are set. */
  changesAt: Type.Optional(InstantSchema),
  /** Rate in force while packages give way to other traffic; absent while nothing is on its way. */
  rateBytesPerSec: Type.Optional(Count),
  /** What a packet waits on the line now, by the last measurement. */
  queueMs: Type.Optional(Count),
});
export type StatusLine = Static<typeof StatusLineSchema>;
