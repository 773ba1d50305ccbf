/** One patch: the new bytes as a zstd frame whose dictionary is the old bytes (distribution 4.3). */
import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";

const compress = promisify(zstdCompress);
/** Half the bytes of level 9 where programs were compiled anew; it is made once and fetched often. */
const PATCH_LEVEL = 19;
/** The smallest window worth its name; a patch of small files fits many times. */
const WINDOW_MIN_LOG = 20;
/** Tables must hold a place for every old byte, or zstd forgets the beginning of a large dictionary. */
const HASH_MAX_LOG = 25;
const CHAIN_MAX_LOG = 26;

export async function patchOf(oldBytes: Buffer, newBytes: Buffer): Promise<Buffer> {
  const windowLog = patchWindowLog(oldBytes.length + newBytes.length);
  return compress(newBytes, {
    ...(oldBytes.length === 0 ? {} : { dictionary: oldBytes }),
    pledgedSrcSize: newBytes.length,
    params: {
      [constants.ZSTD_c_compressionLevel]: PATCH_LEVEL,
      [constants.ZSTD_c_windowLog]: windowLog,
      [constants.ZSTD_c_hashLog]: Math.min(windowLog, HASH_MAX_LOG),
      [constants.ZSTD_c_chainLog]: Math.min(windowLog, CHAIN_MAX_LOG),
    },
  });
}

/** The frame must be able to reach back over everything. */
function patchWindowLog(totalBytes: number): number {
  return Math.max(WINDOW_MIN_LOG, Math.ceil(Math.log2(totalBytes + 1)));
}
