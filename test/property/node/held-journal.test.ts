import fc from "fast-check";
import { expect, it } from "vitest";
import { HeldJournal, type HeldRecord } from "../../../node/content/held-journal.ts";
import { digestOf } from "../../support/memory-content.ts";
import { memoryJournalFile } from "../../support/memory-journal-file.ts";

const digest = fc.constantFrom(
  ...Array.from({ length: 8 }, (_none, at) => digestOf(Buffer.from([at]))),
);
const record: fc.Arbitrary<HeldRecord> = fc.oneof(
  fc.record({ type: fc.constant("gone" as const), digest }),
  fc.record({
    type: fc.constant("held" as const),
    digest,
    entry: fc
      .record({ sizeBytes: fc.integer({ min: 1, max: 4_194_304 }), usedMs: fc.nat() })
      .map((entry) => ({ ...entry, rememberedMs: entry.usedMs })),
  }),
);

function stateAfter(records: readonly HeldRecord[]): unknown {
  const held = new Map();
  for (const one of records) {
    if (one.type === "held") held.set(one.digest, one.entry);
    else held.delete(one.digest);
  }
  return held;
}

it("says after a power cut what was durable before it, and nothing that never was", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(record, { minLength: 1, maxLength: 5 }), { maxLength: 8 }),
      fc.nat(400),
      async (batches, tornBytes) => {
        const file = memoryJournalFile();
        const { journal } = await HeldJournal.open(file);
        for (const batch of batches) await journal.append(batch);
        // Appended by the one that was under way, and never synced.
        await file.append(Buffer.from("5f3a+ half a line of the batch under way\n0000"));

        const after = file.powerCut(Math.min(tornBytes, 44));
        const { held } = await HeldJournal.open(after);

        expect(held).toEqual(stateAfter(batches.flat()));
      },
    ),
  );
});

it("opens on any bytes", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      const { held } = await HeldJournal.open(memoryJournalFile(bytes));

      expect(held.size).toBe(0);
    }),
  );
});

it("says the same before and after it was rewritten", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(record, { maxLength: 30 }), async (records) => {
      const file = memoryJournalFile();
      const { journal } = await HeldJournal.open(file);
      const many = Array.from({ length: 1000 }, () => records).flat();
      await journal.append(many);
      const { held } = await HeldJournal.open(memoryJournalFile(file.bytes()));

      await journal.compact(held);

      const again = await HeldJournal.open(memoryJournalFile(file.bytes()));
      expect(again.held).toEqual(held);
    }),
    { numRuns: 10 },
  );
});
