/**
 * Lines of crc32 and text: the form of every journal of a node. A torn tail is told from a rotten line in
 * the middle, and neither is ever taken for a record.
 */
import { crc32 } from "node:zlib";

const NEWLINE = 0x0a;
/** Eight hexadecimal digits and a blank. */
const PREFIX_LENGTH = 9;

export interface CrcLines<T> {
  readonly records: readonly T[];
  /** Up to the end of the last good line; what follows is the torn tail. */
  readonly goodBytes: number;
}

/** `text` must not contain a newline. */
export function crcLine(text: string): string {
  return `${checksumOf(text)} ${text}\n`;
}

/** `parse` throws on a line of another program version; such a line counts as corrupt. */
export function readCrcLines<T>(
  bytes: Buffer,
  parse: (text: string) => T,
  onCorrupt: (offset: number, problem: string) => void,
): CrcLines<T> {
  const records: T[] = [];
  let goodBytes = 0;
  let rotten: (readonly [offset: number, problem: string])[] = [];
  for (let start = 0; start < bytes.length;) {
    const newline = bytes.indexOf(NEWLINE, start);
    if (newline < 0) break;
    const line = readLine(bytes.toString("utf8", start, newline), parse);
    if (line.kind === "good") {
      // Bad lines count only once a good one follows; until then they are the torn tail.
      for (const [offset, problem] of rotten) onCorrupt(offset, problem);
      if (rotten.length > 0) rotten = [];
      records.push(line.record);
      goodBytes = newline + 1;
    } else rotten.push([start, line.problem]);
    start = newline + 1;
  }
  return { records, goodBytes };
}

type Line<T> =
  | { readonly kind: "good"; readonly record: T }
  | { readonly kind: "bad"; readonly problem: string };

function readLine<T>(line: string, parse: (text: string) => T): Line<T> {
  const text = line.slice(PREFIX_LENGTH);
  if (line.slice(0, PREFIX_LENGTH) !== `${checksumOf(text)} `) {
    return { kind: "bad", problem: "checksum" };
  }
  try {
    return { kind: "good", record: parse(text) };
  } catch (error) {
    return { kind: "bad", problem: error instanceof Error ? error.message : String(error) };
  }
}

function checksumOf(text: string): string {
  return crc32(text).toString(16).padStart(8, "0");
}
