/**
 * The key file: root and publisher keys, sealed by a passphrase (argon2id, AES-256-GCM). It lies outside
 * the coordinator's data folder (trust 5, level 1) and is never overwritten.
 */
import {
  argon2,
  createCipheriv,
  createDecipheriv,
  randomBytes,
  type Argon2Parameters,
} from "node:crypto";
import { link, mkdir, open, readFile, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { Type, type Static } from "typebox";
import { DeployError } from "../../protocol/errors.ts";
import { canonicalBytes, parserOf, readJson } from "../../protocol/json.ts";
import { offlineKeysText, parseOfflineKeys, type OfflineKeys } from "./fleet-keys.ts";

const closed = { additionalProperties: false } as const;
const KEY_FILE_MAX_BYTES = 16 * 1024;
/** 64 MiB and 3 passes take about 0.2 s and make guessing dear (trust 3, operators). */
const KDF = { memoryKib: 65_536, passes: 3, parallelism: 1 } as const;

const HeaderSchema = Type.Object(
  {
    v: Type.Literal(1),
    kdf: Type.Literal("argon2id"),
    // Bounded when read: a forged file must neither exhaust memory nor weaken the derivation to nothing.
    memoryKib: Type.Integer({ minimum: 19_456, maximum: 1_048_576 }),
    passes: Type.Integer({ minimum: 1, maximum: 10 }),
    parallelism: Type.Integer({ minimum: 1, maximum: 4 }),
    salt: Type.String({ pattern: "^[0-9a-f]{32}$" }),
    cipher: Type.Literal("aes-256-gcm"),
    iv: Type.String({ pattern: "^[0-9a-f]{24}$" }),
  },
  closed,
);
type Header = Static<typeof HeaderSchema>;
const parseKeyFile = parserOf(
  "the key file",
  Type.Object(
    {
      header: HeaderSchema,
      sealed: Type.String({ pattern: "^[0-9a-f]{64,8192}$" }),
      tag: Type.String({ pattern: "^[0-9a-f]{32}$" }),
    },
    closed,
  ),
);

/** Writes the file with mode 0600. Throws KEYFILE_EXISTS where something is there. */
export async function writeKeyFile(
  path: string,
  offline: OfflineKeys,
  passphrase: string,
): Promise<void> {
  const header: Header = {
    v: 1,
    kdf: "argon2id",
    ...KDF,
    salt: randomBytes(16).toString("hex"),
    cipher: "aes-256-gcm",
    iv: randomBytes(12).toString("hex"),
  };
  const cipher = createCipheriv(
    header.cipher,
    await derivedKey(header, passphrase),
    hex(header.iv),
  );
  // The header is authenticated too: nobody can weaken it and keep the content.
  cipher.setAAD(canonicalBytes(header));
  const sealed = Buffer.concat([cipher.update(offlineKeysText(offline), "utf8"), cipher.final()]);
  const file = { header, sealed: sealed.toString("hex"), tag: cipher.getAuthTag().toString("hex") };
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeNew(path, `${JSON.stringify(file, undefined, 2)}\n`);
}

/** Throws KEYFILE_MISSING, KEYFILE_PASSPHRASE (also for an altered file) or DOCUMENT_INVALID. */
export async function readKeyFile(path: string, passphrase: string): Promise<OfflineKeys> {
  const { header, sealed, tag } = parseKeyFile(
    readJson("the key file", await bytesOf(path), KEY_FILE_MAX_BYTES),
  );
  const key = await derivedKey(header, passphrase);
  const decipher = createDecipheriv(header.cipher, key, hex(header.iv), { authTagLength: 16 });
  decipher.setAAD(canonicalBytes(header));
  decipher.setAuthTag(hex(tag));
  const start = decipher.update(hex(sealed));
  try {
    const text = Buffer.concat([start, decipher.final()]);
    return parseOfflineKeys(readJson("the key file", text, KEY_FILE_MAX_BYTES));
  } catch (cause) {
    if (cause instanceof DeployError) throw cause;
    throw new DeployError("KEYFILE_PASSPHRASE", { path }, { cause });
  }
}

const deriveKey = promisify((parameters: Argon2Parameters, done: Done) =>
  argon2("argon2id", parameters, done),
);
type Done = (error: Error | null, key: Buffer) => void;

async function derivedKey(header: Header, passphrase: string): Promise<Buffer> {
  return deriveKey({
    // Typed on different keyboards, one passphrase may arrive composed or decomposed.
    message: passphrase.normalize("NFC"),
    nonce: hex(header.salt),
    memory: header.memoryKib,
    passes: header.passes,
    parallelism: header.parallelism,
    tagLength: 32,
  });
}

// `link` fails where the name is taken, so the file appears whole and never replaces another.
async function writeNew(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    await using file = await open(temporary, "wx", 0o600);
    await file.writeFile(text);
    await file.sync();
    await link(temporary, path);
  } catch (cause) {
    if (isNodeError(cause, "EEXIST")) throw new DeployError("KEYFILE_EXISTS", { path }, { cause });
    throw cause;
  } finally {
    await rm(temporary, { force: true });
  }
}

async function bytesOf(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    if (isNodeError(cause, "ENOENT")) throw new DeployError("KEYFILE_MISSING", { path }, { cause });
    throw cause;
  }
}

function isNodeError(cause: unknown, code: string): boolean {
  return cause instanceof Error && "code" in cause && cause.code === code;
}

function hex(text: string): Buffer {
  return Buffer.from(text, "hex");
}
