import { crc32 } from "node:zlib";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { endpointIdOf, parseDigest, parsePackageRef } from "../../../protocol/ids.ts";
import type { JobReport } from "../../../protocol/report.ts";
import { Journal } from "../../../node/content/journal.ts";
import { snapshotOf, type JournalRecord } from "../../../node/core/journal-state.ts";
import { memoryJournalFile } from "../../support/memory-journal-file.ts";

const wish = { job: "j1", revision: "aaaaaaaaaaaaaaaa" };
const ref = parsePackageRef("acme/app@1.2.3");

function report(id: string, order: number): JobReport {
  const bytes = { local: 0, peer: 0, dp: 0, origin: 0 };
  const endpoint = endpointIdOf(Buffer.alloc(32, 1));
  const rest = { state: "executing" as const, attempt: 1, atMs: 1, trace: [], bytes };
  return {
    kind: "job",
    id,
    endpoint,
    ...wish,
    order,
    ...ref,
    purpose: "perform" as const,
    ...rest,
  };
}

const intent: JournalRecord = {
  type: "intent",
  open: {
    ...wish,
    attempt: 1,
    attemptLimit: 3,
    run: "j1-a-1",
    ...ref,
    manifestDigest: parseDigest("ab".repeat(32)),
    actionKind: "execute",
    report: report("start", 1),
  },
};
const ended: JournalRecord = { type: "ended", ...wish, outcome: "failed" };

function logged() {
  const lines: string[] = [];
  const log = pino({ base: null, timestamp: false }, { write: (line: string) => lines.push(line) });
  return { log, lines };
}
const quiet = pino({ level: "silent" });

describe("journal", () => {
  it("gives back after a power cut everything that was acknowledged", async () => {
    const file = memoryJournalFile();
    const journal = await Journal.open(file, quiet);
    await journal.append(intent, { type: "report", report: report("r1", 7) });
    await journal.append(ended);
    await journal.append({ type: "counter", counter: 4 });

    const { state } = await Journal.open(file.powerCut(), quiet);

    expect(state).toEqual(journal.state);
    expect(state.records.get("j1/aaaaaaaaaaaaaaaa")).toEqual({ attempts: 1, isDone: false });
    expect(state).toMatchObject({ counter: 4, order: 7, open: undefined });
    expect([...state.outbox.keys()]).toEqual(["r1"]);
  });

  it("reads a journal of the first release, and keeps what later ones added", async () => {
    const snapshot = `{"type":"snapshot","state":{"counter":9,"order":4,"bytes":{"local":0,"peer":1,"dp":2,"origin":3},"records":[["j1/aaaaaaaaaaaaaaaa",{"attempts":2,"isDone":true,"level":5}]],"outbox":[]}}`;
    const line = `${crc32(snapshot).toString(16).padStart(8, "0")} ${snapshot}\n`;
    const file = memoryJournalFile(Buffer.from(line));
    const journal = await Journal.open(file, quiet);
    const old = journal.state;
    const need = { kind: "restart", job: "j1", timeoutMin: 20, isOrdered: false } as const;
    const action = { atMs: 1, step: "action", text: "install" } as const;

    await journal.append(
      { type: "settled", ...wish, end: "alreadyInstalled" },
      { type: "drifted", job: "j2", revision: wish.revision },
      { type: "power", slot: "power", held: { boot: "b1", need } },
      { type: "acted", entry: action },
      { type: "scanned", digest: parseDigest("cd".repeat(32)) },
      { type: "woke", ids: ["w1"] },
    );
    const { state } = await Journal.open(file.powerCut(), quiet);

    expect(old).toMatchObject({ counter: 9, actions: [], power: undefined });
    expect(old.installed.size).toBe(0);
    expect(state).toEqual(journal.state);
    expect(state.records.get("j1/aaaaaaaaaaaaaaaa")).toMatchObject({ attempts: 2, level: 5 });
    expect(state.power?.need).toEqual(need);
    expect([...state.wakes]).toEqual(["w1"]);
  });

  it("loses nothing of all that when it compacts", async () => {
    const file = memoryJournalFile();
    const journal = await Journal.open(file, quiet);
    const need = { kind: "shutdown", job: "j1", timeoutMin: 0, isOrdered: true } as const;
    await journal.append(
      intent,
      { type: "ended", ...wish, outcome: "success" },
      { type: "power", slot: "parting", held: { boot: "b1", need } },
      { type: "acted", entry: { atMs: 1, step: "action", text: "install" } },
      { type: "acted", entry: { atMs: 2, step: "action", text: "install" } },
      { type: "logged", count: 1 },
      { type: "settled", job: "j3", revision: wish.revision, end: "aborted" },
      { type: "woke", ids: ["w1", "w2"] },
    );
    const again = memoryJournalFile();
    const compacted = await Journal.open(again, quiet);

    await compacted.append(snapshotOf(journal.state));
    const { state } = await Journal.open(again.powerCut(), quiet);

    expect(state).toEqual(journal.state);
    expect([...state.installed]).toEqual([["acme/app", "1.2.3"]]);
    expect(state.actions.map(({ atMs }) => atMs)).toEqual([2]);
  });

  it("cuts a torn tail at every length, says so, and goes on after it", async () => {
    const file = memoryJournalFile();
    const journal = await Journal.open(file, quiet);
    await journal.append({ type: "counter", counter: 1 });
    const before = file.bytes().length;
    await journal.append({ type: "counter", counter: 2 });
    const whole = file.bytes();

    for (let sizeBytes = before + 1; sizeBytes < whole.length; sizeBytes++) {
      const torn = memoryJournalFile(whole.subarray(0, sizeBytes));
      const { log, lines } = logged();
      const reopened = await Journal.open(torn, log);
      expect(reopened.state.counter).toBe(1);
      expect(lines.join("")).toContain("journal.tailCut");
      await reopened.append({ type: "counter", counter: 3 });
      expect((await Journal.open(torn, quiet)).state.counter).toBe(3);
    }
  });

  it("says aloud that a line in the middle has rotted and keeps those after it", async () => {
    const file = memoryJournalFile();
    const journal = await Journal.open(file, quiet);
    await journal.append({ type: "counter", counter: 1 });
    await journal.append({ type: "counter", counter: 2 });
    const bytes = Buffer.from(file.bytes());
    bytes[12] = (bytes[12] ?? 0) ^ 1;

    const { log, lines } = logged();
    const { state } = await Journal.open(memoryJournalFile(bytes), log);

    expect(state.counter).toBe(2);
    expect(lines.join("")).toContain("journal.lineCorrupt");
  });

  it("syncs once for many appends that wait together", async () => {
    const file = memoryJournalFile();
    const journal = await Journal.open(file, quiet);

    const counters = Array.from({ length: 50 }, (_none, index) => index + 1);
    await Promise.all(counters.map((counter) => journal.append({ type: "counter", counter })));

    expect(file.syncCount()).toBeLessThan(5);
    expect((await Journal.open(file.powerCut(), quiet)).state.counter).toBe(50);
  });

  it("compacts above its bound without losing or doubling anything", async () => {
    const file = memoryJournalFile();
    const journal = await Journal.open(file, quiet);
    const bytes = { local: 0, peer: 1, dp: 2, origin: 3 };
    await journal.append({ type: "report", report: report("kept", 9) });

    const growth: JournalRecord = { type: "bytes", bytes };
    await Promise.all(
      Array.from({ length: 200 }, async () =>
        journal.append(...Array.from({ length: 100 }, () => growth)),
      ),
    );
    await journal.append({ type: "counter", counter: 1 });

    const { state } = await Journal.open(file.powerCut(), quiet);
    expect(file.bytes().length).toBeLessThan(1024 * 1024);
    expect(state.bytes).toEqual({ local: 0, peer: 20_000, dp: 40_000, origin: 60_000 });
    expect([...state.outbox.keys()]).toEqual(["kept"]);
  });

  it("counts growth once that comes in while it compacts", async () => {
    const file = memoryJournalFile();
    const late: Promise<void>[] = [];
    const growth: JournalRecord = {
      type: "bytes",
      bytes: { local: 0, peer: 1, dp: 0, origin: 0 },
    };
    const journal = await Journal.open(
      {
        ...file,
        append: async (bytes) => {
          await file.append(bytes);
          if (late.length === 0) late.push(journal.append(growth));
        },
      },
      quiet,
    );

    await journal.append(...Array.from({ length: 15_000 }, () => growth));
    await Promise.all(late);

    expect(file.bytes().length).toBeLessThan(1024 * 1024);
    expect((await Journal.open(file, quiet)).state.bytes.peer).toBe(15_001);
  });

  it("forgets a report when it is acknowledged and uses the number of an attempt that never ran again", async () => {
    const journal = await Journal.open(memoryJournalFile(), quiet);
    await journal.append(intent, { type: "report", report: report("r1", 1) });
    await journal.append({ type: "acknowledged", ids: ["r1"] }, { type: "dropped", ...wish });

    expect(journal.state.outbox.size).toBe(0);
    expect(journal.state.open).toBeUndefined();
    expect(journal.state.records.size).toBe(0);
  });
});
