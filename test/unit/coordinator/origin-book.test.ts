import { beforeEach, describe, expect, it } from "vitest";
import { originsText } from "../../../coordinator/cli/origin.ts";
import { openMemoryStore } from "../../../coordinator/store/memory-store.ts";
import { openOriginBook, type OriginBook } from "../../../coordinator/store/origin-book.ts";
import { openRecords, setRecord, type Records } from "../../../coordinator/store/records.ts";
import { TABLES, type OriginRecord, type Site } from "../../../coordinator/store/tables.ts";
import { parseSiteName } from "../../../protocol/ids.ts";
import { PLAIN_ORIGINS_MAX_COUNT, type PlainProblem } from "../../../protocol/plain-origin.ts";

const berlin = parseSiteName("berlin");
const url = "https://a.example";
let records: Records;
let book: OriginBook;

beforeEach(async () => {
  records = await openRecords(openMemoryStore());
  book = openOriginBook(records, "05".repeat(32));
});

async function add(change: Partial<OriginRecord> = {}): Promise<void> {
  const record = { url, addedMs: 1, ...change };
  await records.change(() => ({
    changes: [setRecord(TABLES.origins, record.url, record)],
    result: undefined,
  }));
}

async function site(change: Partial<Site> = {}): Promise<void> {
  const record = { name: berlin, criteria: [], order: 0, epoch: 0, ...change };
  await records.change(() => ({
    changes: [setRecord(TABLES.sites, berlin, record)],
    result: undefined,
  }));
}

function fails(problem: PlainProblem, nowMs: number): void {
  book.told({ index: 1, origin: url, outcome: problem, wastedBytes: 0 }, 0, nowMs);
}

describe("origin book", () => {
  it("names those of a site in the order of adding, and no more than a roster holds", async () => {
    await add({ url: "https://b.example", addedMs: 2 });
    await add({ addedMs: 1 });
    await add({ url: "https://c.example", addedMs: 0, sites: [parseSiteName("paris")] });
    const few = book.at("berlin").map((origin) => origin.url);
    for (let at = 0; at < 20; at++) await add({ url: `https://x${at}.example`, addedMs: 10 + at });

    expect(few).toEqual([url, "https://b.example"]);
    expect(book.at("berlin")).toHaveLength(PLAIN_ORIGINS_MAX_COUNT);
    expect(book.at("~away").map((origin) => origin.url)[0]).toBe(url);
  });

  it("gives the same list as long as nothing of it changed", async () => {
    await add();
    await site();
    const before = book.at("berlin");
    await site({ epoch: 1 });
    const after = book.at("berlin");
    await site({ policy: { class: "background" } });

    expect(after).toBe(before);
    expect(book.at("berlin")).toEqual([]);
  });

  it("warns of one that fails three times in a row, or sends other bytes once, for an hour", async () => {
    await add();
    fails("broken", 0);
    fails("broken", 0);
    const early = book.notices(0);
    fails("unreachable", 1000);
    const late = book.notices(1000);
    book.told({ index: 1, origin: url, outcome: "done", wastedBytes: 0 }, 700, 2000);
    const healed = book.notices(2000);
    fails("corrupt", 3000);

    expect(early).toEqual([]);
    expect(late.map(({ code }) => code)).toEqual(["ORIGIN_FAILING"]);
    expect(healed).toEqual([]);
    expect(book.notices(3000)[0]?.message).toContain("corrupt");
    expect(book.notices(3_604_000)).toEqual([]);
  });

  it("shows what nodes told of it, and hears nothing of others", async () => {
    await add({ ca: "x".repeat(100) });
    book.told({ index: 1, origin: url, outcome: "done", wastedBytes: 0 }, 1_000_000, 0);
    book.told({ index: 1, origin: "https://z.example", outcome: "done", wastedBytes: 0 }, 1, 0);
    fails("absent", 0);
    const { tokenKey } = book;
    const text = originsText({ origins: [...book.list()], tokenKey });

    expect(book.list()).toMatchObject([{ url, hasCa: true, doneCount: 1, doneBytes: 1_000_000 }]);
    expect(text).toContain("1 absent (last 1970-01-01T00:00:00.000Z)");
    expect(text).toContain(tokenKey);
    expect(originsText({ origins: [], tokenKey })).toContain("branchline origin add");
  });
});
