/**
 * The node's identity: one Ed25519 key, made at the first start, whose public half is the endpoint id
 * and the libp2p PeerId (trust 3).
 */
import { createPublicKey, randomBytes, type KeyObject } from "node:crypto";
import { join } from "node:path";
import { Type } from "typebox";
import { ed25519PrivateKey, rawPublicKey } from "../../protocol/dsse.ts";
import { DeployError } from "../../protocol/errors.ts";
import { endpointIdOf, type EndpointId } from "../../protocol/ids.ts";
import { parserOf, readJson } from "../../protocol/json.ts";
import { readFileIfAny, writeFileDurably } from "../content/write-file.ts";

const IDENTITY_MAX_BYTES = 1024;
const parseIdentity = parserOf(
  "identity.json",
  Type.Object(
    { v: Type.Literal(1), seed: Type.String({ pattern: "^[0-9a-f]{64}$" }) },
    { additionalProperties: false },
  ),
);

export interface Identity {
  readonly endpoint: EndpointId;
  readonly seed: Uint8Array;
  readonly key: KeyObject;
}

/** Reads `identity.json`, or makes it where there is none. Throws NODE_STATE_INVALID on a damaged one. */
export async function openIdentity(dataDir: string): Promise<Identity> {
  const path = join(dataDir, "identity.json");
  const bytes = await readFileIfAny(path);
  if (bytes !== undefined) return identityOf(seedIn(bytes));
  const seed = randomBytes(32);
  await writeFileDurably(path, JSON.stringify({ v: 1, seed: seed.toString("hex") }), 0o600);
  return identityOf(seed);
}

// A damaged key is never replaced: a new one would be another endpoint without anybody's decision.
function seedIn(bytes: Buffer): Buffer {
  try {
    const file = parseIdentity(readJson("identity.json", bytes, IDENTITY_MAX_BYTES));
    return Buffer.from(file.seed, "hex");
  } catch (cause) {
    const details = { what: "identity.json", problem: "it does not hold a key" };
    throw new DeployError("NODE_STATE_INVALID", details, { cause });
  }
}

function identityOf(seed: Buffer): Identity {
  const key = ed25519PrivateKey(seed);
  return { endpoint: endpointIdOf(rawPublicKey(createPublicKey(key))), seed, key };
}
