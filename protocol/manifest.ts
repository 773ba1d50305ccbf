/**
 * The manifest: the publisher-signed instruction document of one package version. It names what is
 * done, with which content, and nothing that the coordinator could change (trust decision 2).
 */
import { Type, type Static } from "typebox";
import { DigestSchema, PackageNameSchema, PackageVersionSchema } from "./ids.ts";
import { parserOf } from "./json.ts";
import {
  FRAGMENTS_PER_PAGE,
  FRAGMENT_WIRE_MAX_BYTES,
  PACKAGE_MAX_BYTES,
  PACKAGE_MAX_FILES,
} from "./limits.ts";

const closed = { additionalProperties: false } as const;
const Argument = Type.String({ maxLength: 4096, pattern: "^[^\\u0000]*$" });

const runFields = {
  timeoutSec: Type.Integer({ minimum: 1, maximum: 86_400 }),
  /** Exit codes that mean success; an empty list means every code does (OCO-50). */
  successCodes: Type.Array(Type.Integer({ minimum: -2_147_483_648, maximum: 4_294_967_295 }), {
    maxItems: 64,
  }),
};

/** OCS-25…27: content is required; `program` is a file of the content's top folder, without a path. */
export const LaunchActionSchema = Type.Object(
  {
    kind: Type.Literal("launch"),
    program: Type.String({ minLength: 1, maxLength: 120, pattern: "^[^/\\\\\\u0000]+$" }),
    args: Type.Array(Argument, { maxItems: 256 }),
    ...runFields,
  },
  closed,
);

/** OCS-28…31: content is optional; the command runs in the temporary folder. */
export const ExecuteActionSchema = Type.Object(
  {
    kind: Type.Literal("execute"),
    /** Executable and arguments; with `shell`, one script for the system's shell. */
    command: Type.Array(Argument, { minItems: 1, maxItems: 257 }),
    shell: Type.Boolean(),
    /** Decision D3: off, the result has no exit code. */
    captureExitCode: Type.Boolean(),
    ...runFields,
  },
  closed,
);

/** OCS-32, OCS-33: no command, only a path. A relative path lies below the node's own store folder. */
export const StoreActionSchema = Type.Object(
  {
    kind: Type.Literal("store"),
    path: Type.String({ minLength: 1, maxLength: 1024, pattern: "^[^\\u0000]+$" }),
  },
  closed,
);

export const ActionSchema = Type.Union([
  LaunchActionSchema,
  ExecuteActionSchema,
  StoreActionSchema,
]);
export type LaunchAction = Static<typeof LaunchActionSchema>;
export type ExecuteAction = Static<typeof ExecuteActionSchema>;
export type StoreAction = Static<typeof StoreActionSchema>;
export type Action = Static<typeof ActionSchema>;

/** One page of the index: itself a fragment, fetched and verified like any other. */
export const PageRefSchema = Type.Object(
  {
    digest: DigestSchema,
    sizeBytes: Type.Integer({ minimum: 1, maximum: FRAGMENT_WIRE_MAX_BYTES }),
  },
  closed,
);
export type PageRef = Static<typeof PageRefSchema>;

const PageList = Type.Array(PageRefSchema, { maxItems: 4096 });

/**
 * Two-level index (distribution 4.3). `fragmentPages` hold 1,024 entries of 54 bytes each
 * (`fragment-index.ts`); `filePages` hold the file list. Swarm order of all fragments of a package:
 * fragment pages, file pages, then content fragments.
 */
export const ContentSchema = Type.Object(
  {
    fragmentCount: Type.Integer({ minimum: 0, maximum: 4096 * FRAGMENTS_PER_PAGE }),
    fileCount: Type.Integer({ minimum: 0, maximum: PACKAGE_MAX_FILES }),
    /** Sum of all wire bytes: pages and content fragments. What a site's line has to carry. */
    wireBytes: Type.Integer({ minimum: 0, maximum: PACKAGE_MAX_BYTES }),
    /** Sum of the sizes of all files. */
    fileBytes: Type.Integer({ minimum: 0, maximum: PACKAGE_MAX_BYTES }),
    fragmentPages: PageList,
    filePages: PageList,
  },
  closed,
);
export type Content = Static<typeof ContentSchema>;

export const ManifestSchema = Type.Object(
  {
    v: Type.Literal(1),
    name: PackageNameSchema,
    version: PackageVersionSchema,
    /** Grows when older versions must never run again (trust M7). */
    epoch: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    /** 0..10, lower first, 0 exclusive (OCS-22, D1). */
    level: Type.Integer({ minimum: 0, maximum: 10 }),
    action: ActionSchema,
    content: Type.Optional(ContentSchema),
  },
  closed,
);
export type Manifest = Static<typeof ManifestSchema>;
export const parseManifest = parserOf("the manifest", ManifestSchema);

/** Signed in the catalog and repeated, byte for byte, in every directive (trust M2). */
export const MatchSchema = Type.Object(
  {
    epoch: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    kind: Type.Enum(["launch", "execute", "store"]),
  },
  closed,
);
export type Match = Static<typeof MatchSchema>;

export function matchOf(manifest: Manifest): Match {
  return { epoch: manifest.epoch, kind: manifest.action.kind };
}
