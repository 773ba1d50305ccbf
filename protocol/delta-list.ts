/**
 * The list of patches of one delta set: pages of zstd-compressed canonical JSON. A patch is one zstd frame
 * with old files as dictionary. Files are named by their place in the file lists of the base's manifest and
 * of this one, so their SHA-256 is what those lists sign; a patched file counts only when it matches.
 */
import { Type, type Static } from "typebox";
import { parserOf } from "./json.ts";
import {
  DELTAS_PER_PAGE,
  DELTA_FILES_MAX_COUNT,
  FILE_EXTENTS_MAX_COUNT,
  PACKAGE_MAX_BYTES,
} from "./limits.ts";

const closed = { additionalProperties: false } as const;
const Offset = Type.Integer({ minimum: 0, maximum: PACKAGE_MAX_BYTES });
/** Place in a file list, folders counted too. */
const Place = Type.Integer({ minimum: 0, maximum: 4_194_304 });

export const DeltaEntrySchema = Type.Object(
  {
    /** The dictionary is the bytes of these files of the base, one behind the other; none: no dictionary. */
    bases: Type.Array(Place, { maxItems: DELTA_FILES_MAX_COUNT }),
    /** The frame unpacks to the bytes of these files of this package, one behind the other. */
    files: Type.Array(Place, { minItems: 1, maxItems: DELTA_FILES_MAX_COUNT }),
    /** [offset, length] pairs in the raw stream of the set's fragments: the frame. */
    extents: Type.Array(Type.Tuple([Offset, Offset]), {
      minItems: 1,
      maxItems: FILE_EXTENTS_MAX_COUNT,
    }),
  },
  closed,
);
export type DeltaEntry = Static<typeof DeltaEntrySchema>;

export const DeltaPageSchema = Type.Array(DeltaEntrySchema, { maxItems: DELTAS_PER_PAGE });
export const parseDeltaPage = parserOf("a page of the delta list", DeltaPageSchema);
