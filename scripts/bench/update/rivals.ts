/** casync over the unpacked folders and zsync over the archives, with the old version at hand. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { cp, open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { outputOf } from "../../../test/support/processes.ts";
import type { Versions } from "./pairs.ts";
import type { Trees } from "./branchline.ts";

export interface RivalFigures {
  /** Undefined where the program is not installed. */
  readonly casyncBytes: number | undefined;
  readonly zsyncBytes: number | undefined;
}

export async function runRivals(
  versions: Versions,
  trees: Trees,
  folder: string,
): Promise<RivalFigures> {
  const hasCasync = (await outputOf("which", ["casync"])).exitCode === 0;
  const hasZsync = (await outputOf("which", ["zsyncmake"])).exitCode === 0;
  return {
    casyncBytes: hasCasync ? await casync(trees, folder) : undefined,
    zsyncBytes: hasZsync ? await zsync(versions, folder) : undefined,
  };
}

/** Index and compressed chunks of the new folder that the old one does not have. */
async function casync({ oldFolder, newFolder }: Trees, folder: string): Promise<number> {
  const made = async (name: string, source: string): Promise<ReadonlyMap<string, number>> => {
    const store = join(folder, `${name}.castr`);
    await done("casync", ["make", `--store=${store}`, join(folder, `${name}.caidx`), source]);
    return chunksOf(store);
  };
  const before = await made("old", oldFolder);
  const after = await made("new", newFolder);
  let bytes = (await stat(join(folder, "new.caidx"))).size;
  for (const [name, sizeBytes] of after) if (!before.has(name)) bytes += sizeBytes;
  return bytes;
}

async function chunksOf(store: string): Promise<ReadonlyMap<string, number>> {
  const chunks = new Map<string, number>();
  for (const entry of await readdir(store, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    chunks.set(entry.name, (await stat(join(entry.parentPath, entry.name))).size);
  }
  return chunks;
}

/** Bodies that a server of the new archive sends, its control file included. */
async function zsync({ oldTgz, newTgz }: Versions, folder: string): Promise<number> {
  const control = join(folder, "new.zsync");
  // It looks into a seed only where the name says that it is packed.
  const seed = join(folder, "old.tar.gz");
  await cp(oldTgz, seed);
  await done("zsyncmake", ["-u", "new.tgz", "-o", control, newTgz]);
  let bytes = 0;
  const files = new Map([
    ["/new.tgz", newTgz],
    ["/new.zsync", control],
  ]);
  const server = createServer((request, response) => {
    answer(request, response, files).then(
      (sent) => (bytes += sent),
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const url = `http://127.0.0.1:${port}/new.zsync`;
    await done("zsync", ["-q", "-i", seed, "-o", join(folder, "zsync.out"), url]);
    return bytes;
  } finally {
    server.close();
  }
}

/** One file, or the ranges of it that are asked for. */
async function answer(
  { url, headers }: IncomingMessage,
  response: ServerResponse,
  files: ReadonlyMap<string, string>,
): Promise<number> {
  const path = files.get(url ?? "");
  if (path === undefined) {
    response.writeHead(404).end();
    return 0;
  }
  await using file = await open(path, "r");
  const { size } = await file.stat();
  const asked = /^bytes=(.+)$/u.exec(headers.range ?? "")?.[1];
  const ranges = (asked ?? `0-${size - 1}`).split(",").map((range) => {
    const [first = 0, last = size - 1] = range.split("-").map(Number);
    return { first, last: Math.min(last, size - 1) };
  });
  const parts: Buffer[] = [];
  for (const { first, last } of ranges) {
    if (ranges.length > 1) {
      const range = `Content-Range: bytes ${first}-${last}/${size}`;
      parts.push(Buffer.from(`\r\n--parts\r\n${range}\r\n\r\n`));
    }
    const part = Buffer.alloc(last - first + 1);
    await file.read(part, 0, part.length, first);
    parts.push(part);
  }
  if (ranges.length > 1) parts.push(Buffer.from("\r\n--parts--\r\n"));
  const body = Buffer.concat(parts);
  const [only] = ranges;
  const type =
    ranges.length > 1 ? "multipart/byteranges; boundary=parts" : "application/octet-stream";
  response.writeHead(asked === undefined ? 200 : 206, {
    "content-type": type,
    "content-length": body.length,
    ...(asked !== undefined && ranges.length === 1 && only !== undefined
      ? { "content-range": `bytes ${only.first}-${only.last}/${size}` }
      : {}),
  });
  response.end(body);
  return body.length;
}

async function done(file: string, args: readonly string[]): Promise<void> {
  const { exitCode, stderr } = await outputOf(file, args);
  if (exitCode !== 0) throw new Error(`${file} ended with ${exitCode}: ${stderr.slice(-500)}`);
}
