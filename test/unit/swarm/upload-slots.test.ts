/** Whose answer is under way. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { UploadSlots, type UploadSlot } from "../../../node/swarm/upload-slots.ts";

const FRAGMENT_BYTES = 256_000;

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** Takes slots and notes them in the order in which they come. */
function taker(slots: UploadSlots): { readonly taken: UploadSlot[]; readonly ask: () => void } {
  const taken: UploadSlot[] = [];
  const ask = (): void => {
    slots.take().then(
      (slot) => taken.push(slot),
      () => undefined,
    );
  };
  return { taken, ask };
}

async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

describe("UploadSlots", () => {
  it("sends few answers at once until the port has shown that it carries more", async () => {
    const slots = new UploadSlots(() => 8, Date.now);
    const { taken, ask } = taker(slots);
    for (let count = 0; count < 30; count++) ask();
    await pass(0);
    expect(taken).toHaveLength(4);

    for (const at of [0, 1]) {
      taken[at]!.sending(FRAGMENT_BYTES);
      await pass(10);
      taken[at]!.received();
      await pass(0);
    }

    // Two answers prove it: eight are under way.
    expect(taken).toHaveLength(10);
  });

  it("keeps others waiting for 3 s at most where a peer hangs, and counts its slot once", async () => {
    const slots = new UploadSlots(() => 1, Date.now);
    const { taken, ask } = taker(slots);
    for (let count = 0; count < 3; count++) ask();
    await pass(0);
    taken[0]!.sending(FRAGMENT_BYTES);

    await pass(2999);
    expect(taken).toHaveLength(1);
    await pass(1);
    expect(taken).toHaveLength(2);

    taken[0]!.received();
    taken[0]!.free();
    await pass(0);
    expect(taken).toHaveLength(2);
  });

  it("counts one answer once, however often the peer says that it is there", async () => {
    const slots = new UploadSlots(() => 8, Date.now);
    const { taken, ask } = taker(slots);
    for (let count = 0; count < 30; count++) ask();
    await pass(0);
    taken[0]!.sending(FRAGMENT_BYTES);
    for (let count = 0; count < 10; count++) taken[0]!.received();
    await pass(0);

    expect(taken).toHaveLength(5);
  });

  it("serves no more at once than the node may", async () => {
    let most = 1;
    const slots = new UploadSlots(() => most, Date.now);
    const { taken, ask } = taker(slots);
    for (let count = 0; count < 30; count++) ask();
    await pass(0);
    for (let at = 0; at < 8; at++) {
      taken[at]!.sending(FRAGMENT_BYTES);
      await pass(10);
      taken[at]!.received();
      await pass(0);
    }
    expect(taken).toHaveLength(9);

    most = 2;
    taken[8]!.free();
    await pass(0);
    expect(taken).toHaveLength(11);
  });
});
