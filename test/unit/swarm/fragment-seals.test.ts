/** What a seal proves, and to whom. */
import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { convict, createSealer, type WrongFragment } from "../../../node/swarm/fragment-seals.ts";
import { ed25519PrivateKey, rawPublicKey } from "../../../protocol/dsse.ts";
import { BULK_SEAL_BYTES } from "../../../protocol/exchange.ts";
import { isSealedBy } from "../../../protocol/fragment-proof.ts";
import { endpointIdOf, parseDigest } from "../../../protocol/ids.ts";
import { testPackage } from "../../support/memory-swarm.ts";

const seed = randomBytes(32);
const sender = endpointIdOf(rawPublicKey(ed25519PrivateKey(seed)));
const receiver = endpointIdOf(Buffer.alloc(32, 2));
const stranger = endpointIdOf(Buffer.alloc(32, 3));
const { item, fragments } = testPackage(4, 100);
const right = fragments[2]!.digest;
const wrong = parseDigest("e".repeat(64));
const seal = createSealer(seed, () => 1_800_000_000_000);
const request = { id: 1, swarm: item.swarm, index: 2 };

function came(change: Partial<WrongFragment> = {}): WrongFragment {
  const made = seal(request, wrong, receiver);
  return { item, index: 2, digest: right, sender, receiver, seal: made, ...change };
}

describe("the seal of a fragment", () => {
  it("BR-3 convicts a sender that signed another digest than the index has", () => {
    const proof = convict(came());

    expect(proof).toMatchObject({ index: 2, digest: wrong, sentMs: 1_800_000_000_000 });
    expect(proof && isSealedBy(proof, { sender, receiver })).toBe(true);
  });

  it("BR-3 proves nothing against a sender that signed the right digest over wrong bytes", () => {
    expect(convict(came({ seal: seal(request, right, receiver) }))).toBeUndefined();
  });

  it("BR-3 proves nothing without a good signature, for another receiver, sender or fragment", () => {
    const made = seal(request, wrong, receiver);
    const torn = Buffer.from(made);
    torn[BULK_SEAL_BYTES - 1]! ^= 1;

    expect(convict(came({ seal: torn }))).toBeUndefined();
    expect(convict(came({ seal: Buffer.alloc(BULK_SEAL_BYTES, 0xff) }))).toBeUndefined();
    expect(convict(came({ receiver: stranger }))).toBeUndefined();
    expect(convict(came({ sender: stranger }))).toBeUndefined();
    expect(convict(came({ index: 3 }))).toBeUndefined();
    const moved = Buffer.from(made);
    moved.writeBigUInt64BE(1_800_000_000_001n, 32);
    expect(convict(came({ seal: moved }))).toBeUndefined();
  });

  it("BR-3 takes any noise for a seal without an error", () => {
    for (let round = 0; round < 200; round++) {
      expect(convict(came({ seal: randomBytes(BULK_SEAL_BYTES) }))).toBeUndefined();
    }
  });
});
