/**
 * The file list of a package: pages of zstd-compressed canonical JSON. The content of all fragments, in
 * swarm order and unpacked, forms one stream; a file is a list of extents of that stream.
 */
import { Type, type Static } from "typebox";
import { DigestSchema } from "./ids.ts";
import { parserOf } from "./json.ts";
import {
  FILE_EXTENTS_MAX_COUNT,
  FILES_PER_PAGE,
  PACKAGE_MAX_BYTES,
  PATH_MAX_BYTES,
} from "./limits.ts";

const closed = { additionalProperties: false } as const;
const Offset = Type.Integer({ minimum: 0, maximum: PACKAGE_MAX_BYTES });

export const FileEntrySchema = Type.Union([
  Type.Object(
    {
      kind: Type.Literal("folder"),
      path: Type.String({ minLength: 1, maxLength: PATH_MAX_BYTES }),
    },
    closed,
  ),
  Type.Object(
    {
      kind: Type.Literal("file"),
      /** Relative, `/` between segments; obeys the path grammar of package-path.ts. */
      path: Type.String({ minLength: 1, maxLength: PATH_MAX_BYTES }),
      isExecutable: Type.Boolean(),
      sizeBytes: Offset,
      sha256: DigestSchema,
      /**
       * [offset, length] pairs in the raw stream, in file order; none for an empty file. 64 GiB of zeros
       * in fragments of 4 MiB make 16,384 of them.
       */
      extents: Type.Array(Type.Tuple([Offset, Offset]), { maxItems: FILE_EXTENTS_MAX_COUNT }),
    },
    closed,
  ),
]);
export type FileEntry = Static<typeof FileEntrySchema>;

export const FilePageSchema = Type.Array(FileEntrySchema, { maxItems: FILES_PER_PAGE });
export const parseFilePage = parserOf("a page of the file list", FilePageSchema);
