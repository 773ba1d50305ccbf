/**
 * Which old file each changed file is patched from. Large files stand alone; small ones are taken together
 * in path order, because one dictionary and one frame for many of them is far smaller.
 */
import {
  DELTA_FILES_MAX_COUNT,
  DELTA_FILE_MAX_BYTES,
  SMALL_FILE_BYTES,
} from "../../protocol/limits.ts";
import type { FileEntry } from "../../protocol/file-list.ts";
import type { OlderFile } from "./older-version.ts";

/** One patch to be made: places in the two file lists. */
export interface PatchPlan {
  readonly bases: readonly number[];
  readonly files: readonly number[];
  /** Old and new bytes. */
  readonly sizeBytes: number;
  readonly isGroup: boolean;
}

/**
 * New bytes of one group. An endpoint holds them in memory, with as many old ones; more gains little and
 * makes the loss larger where one old file is not what it was.
 */
const GROUP_MAX_BYTES = 4 * 1024 * 1024;

/** The patches from `base` to `files`; what is unchanged or has no counterpart gets none. */
export function pairFiles(
  base: readonly FileEntry[],
  files: readonly FileEntry[],
): readonly PatchPlan[] {
  const known = new Set(base.flatMap((file) => (file.kind === "file" ? [file.sha256] : [])));
  const partnerOf = partners(base, files);
  const changed = [...files.entries()].flatMap(([place, file]) =>
    file.kind === "file" && file.sizeBytes > 0 && !known.has(file.sha256) ? [{ place, file }] : [],
  );
  const large = changed.flatMap(({ place, file }): PatchPlan[] => {
    const partner = file.sizeBytes < SMALL_FILE_BYTES ? undefined : partnerOf(file);
    if (partner === undefined) return [];
    const isBounded = Math.max(file.sizeBytes, partner.file.sizeBytes) <= DELTA_FILE_MAX_BYTES;
    if (!isBounded) return [];
    const sizeBytes = file.sizeBytes + partner.file.sizeBytes;
    return [{ bases: [partner.place], files: [place], sizeBytes, isGroup: false }];
  });
  return [...smallGroups(changed, partnerOf), ...large];
}

interface Placed {
  readonly place: number;
  readonly file: OlderFile;
}

type PartnerOf = (file: OlderFile) => Placed | undefined;

function smallGroups(changed: readonly Placed[], partnerOf: PartnerOf): readonly PatchPlan[] {
  const groups: PatchPlan[] = [];
  let files: number[] = [];
  let bases = new Set<number>();
  let newBytes = 0;
  let oldBytes = 0;
  const end = (): void => {
    if (files.length > 0) {
      groups.push({ bases: [...bases], files, sizeBytes: newBytes + oldBytes, isGroup: true });
    }
    files = [];
    bases = new Set();
    newBytes = 0;
    oldBytes = 0;
  };
  for (const { place, file } of changed) {
    if (file.sizeBytes >= SMALL_FILE_BYTES) continue;
    const isFull =
      newBytes + file.sizeBytes > GROUP_MAX_BYTES || files.length === DELTA_FILES_MAX_COUNT;
    if (isFull) end();
    files.push(place);
    newBytes += file.sizeBytes;
    const partner = partnerOf(file);
    // A file that has outgrown the bundles is no dictionary for a small one.
    if (partner === undefined || partner.file.sizeBytes > 4 * SMALL_FILE_BYTES) continue;
    if (!bases.has(partner.place)) oldBytes += partner.file.sizeBytes;
    bases.add(partner.place);
  }
  end();
  return groups;
}

// The same path; else a file of the same name that is gone from its old folder (`build-1/x` -> `build-2/x`).
function partners(base: readonly FileEntry[], files: readonly FileEntry[]): PartnerOf {
  const byPath = new Map<string, Placed>();
  const movedByName = new Map<string, Placed>();
  const paths = new Set(files.map(({ path }) => path));
  for (const [place, file] of base.entries()) {
    if (file.kind === "folder" || file.sizeBytes === 0) continue;
    byPath.set(file.path, { place, file });
    if (!paths.has(file.path)) movedByName.set(nameOf(file.path), { place, file });
  }
  return ({ path }) => byPath.get(path) ?? movedByName.get(nameOf(path));
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
