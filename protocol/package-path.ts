/**
 * The path grammar of package content (trust 4.1 rules 1 and 2). The publisher refuses what breaks it,
 * the agent refuses it again; nobody repairs. The same rules hold on every OS, so that a package that is
 * good on one system cannot turn into an attack or a collision on another.
 */
import { PATH_MAX_BYTES, PATH_MAX_SEGMENTS, PATH_SEGMENT_MAX_BYTES } from "./limits.ts";

/** One path of a tree; folders that only appear as a prefix need no entry. */
export interface TreeEntry {
  readonly kind: "file" | "folder";
  readonly path: string;
}

export interface PathRefusal {
  readonly path: string;
  readonly reason: string;
}

// Windows devices, also with an extension; COM¹ and LPT² are devices too (superscripts of Latin-1).
const RESERVED = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)$/iu;
const FORBIDDEN = /[<>:"|?*\\]/u;
const CONTROL = /[\p{Cc}\u2028\u2029]/u;
// Bidirectional marks make `exe.txt` out of `txt.exe` on the screen; U+FEFF is not seen at all.
const INVISIBLE = /[\u200B\u200E\u200F\u202A-\u202E\u2066-\u2069\uFEFF]/u;

/** Why a path may not be in a package, or undefined for a good one. */
export function checkPackagePath(path: string): string | undefined {
  if (path === "") return "the path is empty";
  if (!path.isWellFormed()) return "the path holds a lone surrogate";
  if (path.startsWith("/")) return "the path is absolute";
  if (path.normalize("NFC") !== path) return "the path is not in Unicode form NFC";
  if (Buffer.byteLength(path) > PATH_MAX_BYTES) {
    return `the path is longer than ${PATH_MAX_BYTES} bytes`;
  }
  const segments = path.split("/");
  if (segments.length > PATH_MAX_SEGMENTS) {
    return `the path has more than ${PATH_MAX_SEGMENTS} segments`;
  }
  for (const segment of segments) {
    const reason = checkSegment(segment);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/**
 * The first entry that breaks the tree, or undefined: paths are unique after NFC and case folding, folders
 * are spelled one way, and nothing lies below a file. Each path must have passed `checkPackagePath`.
 */
export function checkTree(entries: Iterable<TreeEntry>): PathRefusal | undefined {
  const seen = new Map<string, { path: string; kind: "file" | "folder"; isNamed: boolean }>();
  for (const { path, kind } of entries) {
    for (let slash = path.indexOf("/"); slash > 0; slash = path.indexOf("/", slash + 1)) {
      const folder = path.slice(0, slash);
      const known = seen.get(foldedPath(folder));
      if (known === undefined) {
        seen.set(foldedPath(folder), { path: folder, kind: "folder", isNamed: false });
      } else if (known.path !== folder) return { path, reason: onlyCase(known.path) };
      else if (known.kind === "file") return { path, reason: `it lies below the file ${folder}` };
    }
    const known = seen.get(foldedPath(path));
    if (known !== undefined && known.path !== path) return { path, reason: onlyCase(known.path) };
    if (known !== undefined && known.kind !== kind) {
      return { path, reason: "it is both a file and a folder" };
    }
    if (known?.isNamed === true) return { path, reason: "it is there twice" };
    seen.set(foldedPath(path), { path, kind, isNamed: true });
  }
  return undefined;
}

/**
 * The form in which two paths must differ. JavaScript has no case folding; lower, upper, lower folds at
 * least what Unicode's full folding does (ẞ and ß to ss, K to k) and a little more (ı to i).
 */
export function foldedPath(path: string): string {
  const once = path.normalize("NFC").toLowerCase();
  return once.toUpperCase().toLowerCase().normalize("NFC");
}

function checkSegment(segment: string): string | undefined {
  if (segment === "") return "the path has an empty segment";
  if (segment === "." || segment === "..") return `the path has a segment ${segment}`;
  if (Buffer.byteLength(segment) > PATH_SEGMENT_MAX_BYTES) {
    return `a segment is longer than ${PATH_SEGMENT_MAX_BYTES} bytes`;
  }
  if (CONTROL.test(segment)) return "the path holds a control character";
  if (INVISIBLE.test(segment)) return "the path holds an invisible character";
  const forbidden = FORBIDDEN.exec(segment);
  if (forbidden !== null) return `the path holds the character ${forbidden[0]}`;
  if (segment.startsWith(" ")) return "a segment begins with a space";
  if (segment.endsWith(" ") || segment.endsWith(".")) return "a segment ends with a space or a dot";
  // Windows ignores spaces before the extension: `nul .txt` is the device as well.
  const [stem = ""] = segment.split(".");
  if (RESERVED.test(stem.trimEnd())) return `${stem.trimEnd()} is a device name on Windows`;
  return undefined;
}

function onlyCase(other: string): string {
  return `it differs from ${other} in upper and lower case only`;
}
