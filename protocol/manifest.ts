/**
 * The manifest: the publisher-signed instruction document of one package version. It names what is
 * done, with which content, and nothing that the coordinator could change (trust decision 2).
 */
import { Type, type Static } from "typebox";
import { DigestSchema, PackageNameSchema, PackageVersionSchema } from "./ids.ts";
import { parserOf } from "./json.ts";
import {
  DELTA_PAGES_MAX_COUNT,
  DELTA_SETS_MAX_COUNT,
  FRAGMENTS_PER_PAGE,
  FRAGMENT_WIRE_MAX_BYTES,
  PACKAGE_MAX_BYTES,
  PACKAGE_MAX_FILES,
} from "./limits.ts";

import { ActionSchema } from "./package-action.ts";
import { PackageRulesSchema } from "./package-rules.ts";

const closed = { additionalProperties: false } as const;
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
const DeltaPageList = Type.Array(PageRefSchema, { maxItems: DELTA_PAGES_MAX_COUNT });

/**
 * A shortcut from one older version (distribution 4.3): patches against its files, as fragments of their
 * own with their own pages. Never needed: every file also follows from the content fragments.
 */
export const DeltaSetSchema = Type.Object(
  {
    /** The patches name files by their place in the file list of exactly this manifest. */
    base: Type.Object({ version: PackageVersionSchema, manifest: DigestSchema }, closed),
    fragmentCount: Type.Integer({
      minimum: 1,
      maximum: DELTA_PAGES_MAX_COUNT * FRAGMENTS_PER_PAGE,
    }),
    /** Sum of all wire bytes of this set: pages and fragments. */
    wireBytes: Type.Integer({ minimum: 1, maximum: PACKAGE_MAX_BYTES }),
    fragmentPages: DeltaPageList,
    /** Pages of `delta-list.ts`. */
    listPages: DeltaPageList,
  },
  closed,
);
export type DeltaSet = Static<typeof DeltaSetSchema>;

/**
 * Two-level index (distribution 4.3). `fragmentPages` hold 1,024 entries of 54 bytes each
 * (`fragment-index.ts`); `filePages` hold the file list. Swarm order of all fragments of a package:
 * `swarm-order.ts`.
 */
export const ContentSchema = Type.Object(
  {
    fragmentCount: Type.Integer({ minimum: 0, maximum: 4096 * FRAGMENTS_PER_PAGE }),
    fileCount: Type.Integer({ minimum: 0, maximum: PACKAGE_MAX_FILES }),
    /** Sum of all wire bytes but those of deltas. What a site's line has to carry where nothing is there. */
    wireBytes: Type.Integer({ minimum: 0, maximum: PACKAGE_MAX_BYTES }),
    /** Sum of the sizes of all files. */
    fileBytes: Type.Integer({ minimum: 0, maximum: PACKAGE_MAX_BYTES }),
    fragmentPages: PageList,
    filePages: PageList,
    deltas: Type.Optional(
      Type.Array(DeltaSetSchema, { minItems: 1, maxItems: DELTA_SETS_MAX_COUNT }),
    ),
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
    /** Absent: none of them. */
    rules: Type.Optional(PackageRulesSchema),
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
