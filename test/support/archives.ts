/**
 * Builders of archives for tests. Good ones come from ordinary libraries; bad ones are written byte by
 * byte, as no library writes them.
 */
import { createWriteStream } from "node:fs";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { crc32, deflateRawSync } from "node:zlib";
import { create } from "tar";
import { ZipFile } from "yazl";

/** Files of a tree by path; a path that ends with a slash is an empty folder. */
export interface TreeFile {
  readonly data: string | Buffer;
  readonly isExecutable?: boolean;
}
export type Tree = Readonly<Record<string, TreeFile>>;

/** Writes the tree as a folder. */
export async function writeTree(folder: string, tree: Tree): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [path, file] of Object.entries(tree)) {
    const target = join(folder, path);
    await mkdir(path.endsWith("/") ? target : dirname(target), { recursive: true });
    if (path.endsWith("/")) continue;
    await writeFile(target, file.data);
    await chmod(target, file.isExecutable === true ? 0o755 : 0o644);
  }
}

/** A zip as Unix tools write it, with modes. */
export async function writeZip(path: string, tree: Tree, isZip64 = false): Promise<void> {
  const zip = new ZipFile();
  for (const [name, file] of Object.entries(tree)) {
    if (name.endsWith("/")) zip.addEmptyDirectory(name);
    else {
      const mode = file.isExecutable === true ? 0o100755 : 0o100644;
      zip.addBuffer(Buffer.from(file.data), name, { mode, forceZip64Format: isZip64 });
    }
  }
  zip.end({ forceZip64Format: isZip64, comment: "" });
  await pipeline(zip.outputStream, createWriteStream(path));
}

/** A tar of a folder's inside, with `./` before every name as `tar -C folder .` writes it. */
export async function writeTar(path: string, folder: string, gzip: boolean): Promise<void> {
  await create({ file: path, cwd: folder, gzip }, ["."]);
}

/** One entry of a hand-made zip; what is not given is honest. */
export interface ZipEntrySpec {
  readonly name: string | Buffer;
  readonly data?: string | Buffer;
  readonly method?: number;
  /** Unix mode with file type; absent: made on DOS. */
  readonly mode?: number;
  readonly flags?: number;
  readonly claimedBytes?: number;
  readonly claimedCrc?: number;
  readonly localName?: string;
  /** Index of the entry whose local header this one points at. */
  readonly sharesWith?: number;
  readonly extra?: Buffer;
}

const UTF8_FLAG = 0x800;

export function zipOf(entries: readonly ZipEntrySpec[], comment = ""): Buffer {
  const parts: Buffer[] = [];
  const central: Buffer[] = [];
  const offsets: number[] = [];
  let at = 0;
  for (const entry of entries) {
    const data = Buffer.from(entry.data ?? "");
    const packed = entry.method === 8 ? deflateRawSync(data) : data;
    const fields = zipFields(entry, data, packed);
    const localName = Buffer.from(entry.localName ?? entry.name);
    if (entry.sharesWith === undefined) {
      offsets.push(at);
      const local = Buffer.concat([zipLocal(fields, localName.length), localName, packed]);
      parts.push(local);
      at += local.length;
    } else offsets.push(offsets[entry.sharesWith]!);
    central.push(zipCentral(entry, fields, offsets.at(-1)!));
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(at, 16);
  end.writeUInt16LE(comment.length, 20);
  return Buffer.concat([...parts, directory, end, Buffer.from(comment)]);
}

function zipFields(entry: ZipEntrySpec, data: Buffer, packed: Buffer): Buffer {
  // What local header and central directory have in common: 26 bytes from "version needed" on.
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(20, 0);
  fields.writeUInt16LE((entry.flags ?? 0) | UTF8_FLAG, 2);
  fields.writeUInt16LE(entry.method ?? 0, 4);
  fields.writeUInt32LE(entry.claimedCrc ?? crc32(data), 10);
  fields.writeUInt32LE(packed.length, 14);
  fields.writeUInt32LE(entry.claimedBytes ?? data.length, 18);
  fields.writeUInt16LE(Buffer.from(entry.name).length, 22);
  return fields;
}

function zipLocal(fields: Buffer, nameBytes: number): Buffer {
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  fields.copy(local, 4);
  local.writeUInt16LE(nameBytes, 26);
  return local;
}

function zipCentral(entry: ZipEntrySpec, fields: Buffer, offset: number): Buffer {
  const record = Buffer.alloc(46);
  const extra = entry.extra ?? Buffer.alloc(0);
  record.writeUInt32LE(0x02014b50, 0);
  record.writeUInt16LE(entry.mode === undefined ? 20 : (3 << 8) | 20, 4);
  fields.copy(record, 6);
  record.writeUInt16LE(extra.length, 30);
  record.writeUInt32LE(((entry.mode ?? 0) << 16) >>> 0, 38);
  record.writeUInt32LE(offset, 42);
  return Buffer.concat([record, Buffer.from(entry.name), extra]);
}

/** One entry of a hand-made tar. */
export interface TarEntrySpec {
  readonly name: string | Buffer;
  readonly data?: string | Buffer;
  /** Type letter: 0 file, 1 hard link, 2 symbolic link, 3 and 4 devices, 5 folder, 6 pipe, x g L K S … */
  readonly type?: string;
  readonly mode?: number;
  readonly link?: string;
  /** Bytes of the size field, where they shall lie. */
  readonly sizeField?: Buffer;
  readonly badChecksum?: boolean;
}

export function tarOf(entries: readonly TarEntrySpec[], end = Buffer.alloc(1024)): Buffer {
  const parts = entries.flatMap((entry) => {
    const data = Buffer.from(entry.data ?? "");
    const padding = Buffer.alloc((512 - (data.length % 512)) % 512);
    return [tarHeader(entry, data.length), data, padding];
  });
  return Buffer.concat([...parts, end]);
}

function tarHeader(entry: TarEntrySpec, sizeBytes: number): Buffer {
  const header = Buffer.alloc(512);
  Buffer.from(entry.name).copy(header, 0, 0, 100);
  header.write(octal(entry.mode ?? 0o644, 8), 100, "latin1");
  header.write(octal(0, 8), 108, "latin1");
  header.write(octal(0, 8), 116, "latin1");
  header.write(octal(sizeBytes, 12), 124, "latin1");
  entry.sizeField?.copy(header, 124);
  header.write(octal(0, 12), 136, "latin1");
  header.write(entry.type ?? "0", 156, "latin1");
  header.write(entry.link ?? "", 157, "utf8");
  header.write("ustar\u000000", 257, "latin1");
  header.write("        ", 148, "latin1");
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(octal(entry.badChecksum === true ? sum + 1 : sum, 8), 148, "latin1");
  return header;
}

/** A PAX record with its own length before it. */
export function paxRecord(key: string, value: string): string {
  const tail = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(tail);
  while (String(length).length + Buffer.byteLength(tail) !== length) {
    length = String(length).length + Buffer.byteLength(tail);
  }
  return `${length}${tail}`;
}

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, "0")}\0`;
}
