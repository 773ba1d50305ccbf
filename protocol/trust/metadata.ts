/**
 * The shapes of our TUF metadata, stricter than TUF itself: closed schemas, one spelling for every value.
 * Writers produce exactly this form; `guard.ts` refuses everything else before a TUF library sees it.
 */
import { createHash } from "node:crypto";
import { Type, type Static } from "typebox";
import { DirectiveTargetSchema } from "../directive.ts";
import { DigestSchema, EndpointIdSchema, parseDigest, type Digest } from "../ids.ts";
import { canonicalBytes, canonicalText, parserOf } from "../json.ts";
import {
  CATALOG_BIN_BITS,
  MANIFEST_MAX_BYTES,
  TUF_ROLES_MAX_COUNT,
  TUF_ROOT_MAX_BYTES,
  TUF_SNAPSHOT_MAX_BYTES,
  TUF_TARGETS_MAX_BYTES,
  TUF_TARGETS_MAX_COUNT,
  TUF_TIMESTAMP_MAX_BYTES,
} from "../limits.ts";
import { MatchSchema } from "../manifest.ts";

const closed = { additionalProperties: false } as const;

export const SPEC_VERSION = "1.0.31";
/** Prefix of the catalog's hash bins: `bin-00` … `bin-ff`. */
export const BIN_PREFIX = "bin";

/** Which of the two TUF repositories a file belongs to (trust decision 1). */
export type Repository = "catalog" | "director";
/** `directive`: the director's targets. `delegation`: the catalog's targets. `bin`: publisher-signed. */
export type FileKind = "root" | "timestamp" | "snapshot" | "delegation" | "bin" | "directive";

const Version = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const common = {
  spec_version: Type.Literal(SPEC_VERSION),
  version: Version,
  expires: Type.String({ pattern: "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$" }),
};
const device = { "x-device": Type.Optional(EndpointIdSchema) };

// Ed25519 only: an algorithm that is not negotiable cannot be downgraded.
const KeySchema = Type.Object(
  {
    keytype: Type.Literal("ed25519"),
    scheme: Type.Literal("ed25519"),
    keyval: Type.Object({ public: DigestSchema }, closed),
  },
  closed,
);
export type TufKey = Static<typeof KeySchema>;
const KeysSchema = Type.Record(Type.String({ pattern: "^[0-9a-f]{64}$" }), KeySchema, {
  ...closed,
  maxProperties: 32,
});

const roleFields = {
  keyids: Type.Array(DigestSchema, { minItems: 1, maxItems: 16 }),
  threshold: Type.Integer({ minimum: 1, maximum: 16 }),
};
const RoleSchema = Type.Object(roleFields, closed);
export type TufRole = Static<typeof RoleSchema>;

const HashesSchema = Type.Object({ sha256: DigestSchema }, closed);
const pinnedFile = {
  version: Version,
  length: Type.Integer({ minimum: 1, maximum: TUF_TARGETS_MAX_BYTES }),
  hashes: HashesSchema,
};
const PinnedFileSchema = Type.Object(pinnedFile, closed);
const targetFields = {
  length: Type.Integer({ minimum: 1, maximum: MANIFEST_MAX_BYTES }),
  hashes: HashesSchema,
};

export const RootSchema = Type.Object(
  {
    _type: Type.Literal("root"),
    ...common,
    consistent_snapshot: Type.Literal(false),
    keys: KeysSchema,
    roles: Type.Object(
      { root: RoleSchema, timestamp: RoleSchema, snapshot: RoleSchema, targets: RoleSchema },
      closed,
    ),
    /** The same offline key signs both roots; without this one could pass for the other. */
    "x-repository": Type.Enum(["catalog", "director"]),
  },
  closed,
);
export type Root = Static<typeof RootSchema>;

const TimestampSchema = Type.Object(
  {
    _type: Type.Literal("timestamp"),
    ...common,
    ...device,
    meta: Type.Object({ "snapshot.json": PinnedFileSchema }, closed),
  },
  closed,
);
export type Timestamp = Static<typeof TimestampSchema>;

const SnapshotSchema = Type.Object(
  {
    _type: Type.Literal("snapshot"),
    ...common,
    ...device,
    // Bins carry a version only (trust 2.6): with hashes a snapshot would be four times as large.
    meta: Type.Record(
      Type.String({ pattern: `^(targets|${BIN_PREFIX}-[0-9a-f]{2})\\.json$` }),
      Type.Union([PinnedFileSchema, Type.Object({ version: Version }, closed)]),
      { ...closed, maxProperties: TUF_ROLES_MAX_COUNT },
    ),
  },
  closed,
);
export type Snapshot = Static<typeof SnapshotSchema>;

const DelegationSchema = Type.Object(
  {
    _type: Type.Literal("targets"),
    ...common,
    targets: Type.Object({}, closed),
    delegations: Type.Object(
      {
        keys: KeysSchema,
        succinct_roles: Type.Object(
          {
            ...roleFields,
            bit_length: Type.Literal(CATALOG_BIN_BITS),
            name_prefix: Type.Literal(BIN_PREFIX),
          },
          closed,
        ),
      },
      closed,
    ),
  },
  closed,
);
export type Delegation = Static<typeof DelegationSchema>;

const counted = { ...closed, maxProperties: TUF_TARGETS_MAX_COUNT };
const PathText = Type.String({ pattern: "^[^\\u0000]{5,200}$" });

const BinSchema = Type.Object(
  {
    _type: Type.Literal("targets"),
    ...common,
    targets: Type.Record(
      PathText,
      Type.Object({ ...targetFields, custom: Type.Object({ match: MatchSchema }, closed) }, closed),
      counted,
    ),
  },
  closed,
);
export type Bin = Static<typeof BinSchema>;

const DirectiveSchema = Type.Object(
  {
    _type: Type.Literal("targets"),
    ...common,
    ...device,
    targets: Type.Record(
      PathText,
      Type.Object({ ...targetFields, custom: DirectiveTargetSchema }, closed),
      counted,
    ),
  },
  closed,
);
export type Directive = Static<typeof DirectiveSchema>;

const SignatureSchema = Type.Object(
  { keyid: DigestSchema, sig: Type.String({ pattern: "^[0-9a-f]{128}$" }) },
  closed,
);
export type TufSignature = Static<typeof SignatureSchema>;
const SignaturesSchema = Type.Array(SignatureSchema, { minItems: 1, maxItems: 16 });

/** A whole file. */
export interface Signed<T> {
  readonly signatures: readonly TufSignature[];
  readonly signed: T;
}

/** Parser and size bound of each kind of file (trust M13). */
export const FILE_RULES = {
  root: { limitBytes: TUF_ROOT_MAX_BYTES, parse: fileParser("root metadata", RootSchema) },
  timestamp: {
    limitBytes: TUF_TIMESTAMP_MAX_BYTES,
    parse: fileParser("timestamp metadata", TimestampSchema),
  },
  snapshot: {
    limitBytes: TUF_SNAPSHOT_MAX_BYTES,
    parse: fileParser("snapshot metadata", SnapshotSchema),
  },
  delegation: {
    limitBytes: TUF_TARGETS_MAX_BYTES,
    parse: fileParser("the catalog's targets", DelegationSchema),
  },
  bin: { limitBytes: TUF_TARGETS_MAX_BYTES, parse: fileParser("a catalog bin", BinSchema) },
  directive: {
    limitBytes: TUF_TARGETS_MAX_BYTES,
    parse: fileParser("the directive", DirectiveSchema),
  },
} as const;

/** The type of `signed` in a file of kind `K`. */
export interface SignedOf {
  readonly root: Root;
  readonly timestamp: Timestamp;
  readonly snapshot: Snapshot;
  readonly delegation: Delegation;
  readonly bin: Bin;
  readonly directive: Directive;
}

/** Key id as TUF defines it: the digest of the canonical key. */
export function keyIdOf(key: TufKey): Digest {
  return sha256Of(canonicalBytes(key));
}

export function sha256Of(bytes: Uint8Array | string): Digest {
  return parseDigest(createHash("sha256").update(bytes).digest("hex"));
}

/** Name of the hash bin that holds a target: the leading bits of the path's digest (TAP 15). */
export function binOf(targetPath: string): string {
  return `${BIN_PREFIX}-${sha256Of(targetPath).slice(0, CATALOG_BIN_BITS / 4)}`;
}

/** `expires` of metadata: seconds, UTC. */
export function instantText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** Whether two JSON values are the same bytes once canonical (trust M2). */
export function isSameJson(a: unknown, b: unknown): boolean {
  return canonicalText(a) === canonicalText(b);
}

function fileParser<const S extends Parameters<typeof parserOf>[1]>(what: string, schema: S) {
  return parserOf(what, Type.Object({ signatures: SignaturesSchema, signed: schema }, closed));
}
