/**
 * The keys of a fleet. Offline keys sign roots and packages and never lie on the coordinator in clear;
 * online keys live in the coordinator's `keys/online.json` and can only choose among what was signed.
 */
import { randomBytes, type KeyObject } from "node:crypto";
import { Type, type Static } from "typebox";
import { ed25519PrivateKey } from "../../protocol/dsse.ts";
import { canonicalText, parserOf, readJson } from "../../protocol/json.ts";

const closed = { additionalProperties: false } as const;
/** 32 bytes in hexadecimal. */
const Secret = Type.String({ pattern: "^[0-9a-f]{64}$" });
const KEYS_MAX_BYTES = 16 * 1024;

/** Ed25519 seeds of the root key and the publisher key. */
export const OfflineKeysSchema = Type.Object({ root: Secret, publisher: Secret }, closed);
export type OfflineKeys = Static<typeof OfflineKeysSchema>;
export const parseOfflineKeys = parserOf("the offline keys", OfflineKeysSchema);

export const OnlineKeysSchema = Type.Object(
  {
    v: Type.Literal(1),
    /** Ed25519 seed: signs the catalog's snapshot and timestamp. */
    catalogOnline: Secret,
    /** Ed25519 seed: signs directives, freshness, memberships, rosters. */
    director: Secret,
    sessionSecret: Secret,
    leaseSecret: Secret,
    swarmSecret: Secret,
    /** PKCS #8 PEM of the TLS key (P-256); absent behind a proxy that has its own. */
    tlsPrivateKey: Type.Optional(Type.String({ minLength: 100, maxLength: 4096 })),
  },
  closed,
);
export type OnlineKeys = Static<typeof OnlineKeysSchema>;
const parseOnline = parserOf("the online keys", OnlineKeysSchema);

export function makeFleetKeys(tlsPrivateKey?: string): {
  readonly offline: OfflineKeys;
  readonly online: OnlineKeys;
} {
  return {
    offline: { root: newSecret(), publisher: newSecret() },
    online: {
      v: 1,
      catalogOnline: newSecret(),
      director: newSecret(),
      sessionSecret: newSecret(),
      leaseSecret: newSecret(),
      swarmSecret: newSecret(),
      ...(tlsPrivateKey === undefined ? {} : { tlsPrivateKey }),
    },
  };
}

/** Content of `keys/online.json`. */
export function onlineKeysText(keys: OnlineKeys): string {
  return `${JSON.stringify(keys, undefined, 2)}\n`;
}

export function parseOnlineKeys(source: Uint8Array | string): OnlineKeys {
  return parseOnline(readJson("the online keys", source, KEYS_MAX_BYTES));
}

/** What the key file encrypts. */
export function offlineKeysText(keys: OfflineKeys): string {
  return canonicalText(keys);
}

/** Private key object of a seed in hexadecimal. */
export function keyOfSeed(seed: string): KeyObject {
  return ed25519PrivateKey(Buffer.from(seed, "hex"));
}

function newSecret(): string {
  return randomBytes(32).toString("hex");
}
