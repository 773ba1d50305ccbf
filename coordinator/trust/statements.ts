/** One-shot statements of the coordinator, signed with the director key. */
import type { Freshness, Membership, MetadataFiles, Roster } from "../../protocol/check-in.ts";
import { signStatement, type Envelope } from "../../protocol/dsse.ts";
import type { Digest } from "../../protocol/ids.ts";
import { sha256Of } from "../../protocol/trust/metadata.ts";
import { fileText } from "./catalog-head.ts";
import { keyOfSeed, type OnlineKeys } from "./fleet-keys.ts";

/** Proves to one endpoint, for one nonce, what is in force right now (trust M8). */
export function signFreshness(online: OnlineKeys, freshness: Freshness): Envelope {
  return signStatement("freshness", freshness, keyOfSeed(online.director));
}

export function signMembership(online: OnlineKeys, membership: Membership): Envelope {
  return signStatement("membership", membership, keyOfSeed(online.director));
}

export function signRoster(online: OnlineKeys, roster: Roster): Envelope {
  return signStatement("roster", roster, keyOfSeed(online.director));
}

/** `directiveDigest` of a freshness statement: the digest of the directive's timestamp. */
export function directiveDigest(directive: MetadataFiles): Digest {
  return sha256Of(fileText(directive, "timestamp.json"));
}
