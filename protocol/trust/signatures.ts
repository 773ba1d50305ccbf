/**
 * Threshold signatures over TUF metadata: making them, checking them, and following a chain of roots.
 * The TUF library checks again on the node; this is for signers and for the keys of one-shot statements.
 */
import { sign, verify, type KeyObject } from "node:crypto";
import { ed25519PublicKey, rawPublicKey } from "../dsse.ts";
import { DeployError } from "../errors.ts";
import { parseDigest } from "../ids.ts";
import { canonicalBytes, canonicalText } from "../json.ts";
import { guardRoot } from "./guard.ts";
import {
  keyIdOf,
  type Repository,
  type Root,
  type Signed,
  type TufKey,
  type TufRole,
} from "./metadata.ts";

/** The public part of a key in TUF form. */
export function tufKeyOf(key: KeyObject): TufKey {
  const raw = parseDigest(rawPublicKey(key).toString("hex"));
  return { keytype: "ed25519", scheme: "ed25519", keyval: { public: raw } };
}

/** The text of a metadata file: canonical JSON, so that every file has exactly one spelling. */
export function signedMetadataText(signed: unknown, keys: readonly KeyObject[]): string {
  const bytes = canonicalBytes(signed);
  const signatures = keys.map((key) => ({
    keyid: keyIdOf(tufKeyOf(key)),
    sig: sign(null, bytes, key).toString("hex"),
  }));
  return canonicalText({ signatures, signed });
}

/** Whether enough distinct keys of `role` have signed. */
export function isSignedBy(
  file: Signed<unknown>,
  role: TufRole,
  keys: Readonly<Record<string, TufKey>>,
): boolean {
  const bytes = canonicalBytes(file.signed);
  const signers = new Set<string>();
  for (const { keyid, sig } of file.signatures) {
    const key = role.keyids.includes(parseDigest(keyid)) ? keys[keyid] : undefined;
    if (key !== undefined && isValid(key, bytes, sig)) signers.add(key.keyval.public);
  }
  return signers.size >= role.threshold;
}

/**
 * The newest root reachable from the trusted one through `N.root.json` files, each signed by its
 * predecessor and by itself (trust M20). Throws TRUST_SIGNATURE or TRUST_METADATA.
 */
export function newestRoot(
  trusted: string,
  files: Readonly<Record<string, string>>,
  repository: Repository,
): Root {
  let current = guardRoot(trusted, repository).signed;
  for (;;) {
    const version = current.version + 1;
    const text = files[`${version}.root.json`];
    if (text === undefined) return current;
    const next = guardRoot(text, repository);
    const isSuccessor =
      next.signed.version === version &&
      isSignedBy(next, current.roles.root, current.keys) &&
      isSignedBy(next, next.signed.roles.root, next.signed.keys);
    if (!isSuccessor) {
      throw new DeployError("TRUST_SIGNATURE", { what: `${repository} ${version}.root.json` });
    }
    current = next.signed;
  }
}

function isValid(key: TufKey, bytes: Uint8Array, sig: string): boolean {
  const publicKey = ed25519PublicKey(Buffer.from(key.keyval.public, "hex"));
  return verify(null, bytes, publicKey, Buffer.from(sig, "hex"));
}
