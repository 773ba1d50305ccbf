/**
 * The raw bytes behind a list of fragments: unpacked, checked against the signed lengths, and read by
 * offset in the stream that they form together. Memory holds a few unpacked fragments.
 */
import { promisify } from "node:util";
import { zstdDecompress } from "node:zlib";
import { DeployError } from "../../protocol/errors.ts";
import type { FragmentEntry } from "../../protocol/fragment-index.ts";
import type { Digest } from "../../protocol/ids.ts";
import { FRAGMENT_WIRE_MAX_BYTES } from "../../protocol/limits.ts";

const unpack = promisify(zstdDecompress);
/** Unpacked fragments kept: neighbouring files share bundles, and dedupe looks back a little. */
const CACHED_FRAGMENTS = 4;
/** Also the least that zlib takes for a buffer. */
const SPARE_OUTPUT_BYTES = 64;

/** Fragments in stream order, and where each begins. */
export interface FragmentStream {
  readonly fragments: readonly FragmentEntry[];
  /** Raw offset of each fragment in the stream, and the stream's length at the end. */
  readonly offsetsBytes: readonly number[];
}

/** Wire bytes by digest; undefined where they are not here. */
export type ReadWire = (digest: Digest) => Promise<Buffer | undefined>;
/** Raw bytes of a fragment, in `room` where that is simpler. Throws FRAGMENT_MISSING where nobody has them. */
export type ReadRaw = (entry: FragmentEntry, room: Buffer) => Promise<Buffer>;

export class RawStream {
  readonly #stream: FragmentStream;
  readonly #read: ReadRaw;
  readonly #cache = new Map<number, Buffer>();
  /** Read into again and again: one buffer per fragment would be garbage as large as the content. */
  readonly #rooms: Buffer[] = [];

  constructor(stream: FragmentStream, read: ReadRaw) {
    this.#stream = stream;
    this.#read = read;
  }

  /**
   * The bytes of extents, in order; `onRead` hears of each fragment when its part has been taken. Where the
   * source reads into `room`, a piece holds its bytes only until the next one is asked for.
   */
  async *bytes(
    extents: readonly (readonly [number, number])[],
    signal: AbortSignal,
    onRead?: (fragment: number) => void,
  ): AsyncGenerator<Buffer> {
    for (const [offset, length] of extents) {
      const endBytes = offset + length;
      for (let at = offset; at < endBytes;) {
        signal.throwIfAborted();
        const fragment = fragmentAt(this.#stream.offsetsBytes, at);
        const raw = await this.#raw(fragment);
        const begin = at - (this.#stream.offsetsBytes[fragment] ?? 0);
        const piece = raw.subarray(begin, begin + endBytes - at);
        yield piece;
        at += piece.length;
        onRead?.(fragment);
      }
    }
  }

  async #raw(fragment: number): Promise<Buffer> {
    const entry = this.#stream.fragments[fragment];
    if (entry === undefined) throw refuse("an extent lies outside the content");
    const held = this.#cache.get(fragment);
    this.#cache.delete(fragment);
    const raw = held ?? (await this.#read(entry, this.#freeRoom()));
    this.#cache.set(fragment, raw);
    return raw;
  }

  /** Gives the oldest fragment up where the cache is full; what was taken of it has been used by now. */
  #freeRoom(): Buffer {
    const [oldest] = this.#cache.keys();
    if (this.#cache.size >= CACHED_FRAGMENTS && oldest !== undefined) this.#cache.delete(oldest);
    const taken = new Set(Array.from(this.#cache.values(), ({ buffer }) => buffer));
    const free = this.#rooms.find(({ buffer }) => !taken.has(buffer));
    if (free !== undefined) return free;
    // Pages that no fragment reaches are never touched, and take no memory.
    const room = Buffer.allocUnsafeSlow(FRAGMENT_WIRE_MAX_BYTES);
    this.#rooms.push(room);
    return room;
  }
}

/** Throws FRAGMENT_MISSING where the wire bytes are not there. */
export async function unpacked(entry: FragmentEntry, readWire: ReadWire): Promise<Buffer> {
  const wire = await readWire(entry.digest);
  if (wire === undefined) throw new DeployError("FRAGMENT_MISSING", { digest: entry.digest });
  if (wire.length !== entry.wireBytes) throw refuse(`fragment ${entry.digest} has another size`);
  if (entry.wireBytes === entry.rawBytes) return wire;
  // trust P3: the signed raw length bounds the decompression. One output buffer that is never full: no
  // list of small ones, and no copy of them.
  const limits = {
    maxOutputLength: entry.rawBytes,
    chunkSize: entry.rawBytes + SPARE_OUTPUT_BYTES,
  };
  const raw = await unpack(wire, limits);
  if (raw.length !== entry.rawBytes)
    throw refuse(`fragment ${entry.digest} unpacks to another size`);
  return raw;
}

/** Places of the fragments that extents touch, in order; one fragment may come up more than once. */
export function* fragmentsOf(
  { offsetsBytes }: FragmentStream,
  extents: readonly (readonly [number, number])[],
): Generator<number> {
  for (const [offset, length] of extents) {
    if (length === 0) continue;
    let fragment = fragmentAt(offsetsBytes, offset);
    do yield fragment;
    while ((offsetsBytes[++fragment] ?? Number.POSITIVE_INFINITY) < offset + length);
  }
}

// Binary search: the last fragment that begins at or before the offset.
function fragmentAt(offsetsBytes: readonly number[], offsetBytes: number): number {
  let low = 0;
  let high = offsetsBytes.length - 2;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((offsetsBytes[middle] ?? 0) <= offsetBytes) low = middle;
    else high = middle - 1;
  }
  return low;
}

function refuse(problem: string): DeployError {
  return new DeployError("CONTENT_INVALID", { package: "the package", problem });
}
