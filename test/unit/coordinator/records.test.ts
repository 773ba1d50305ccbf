import { expect, it } from "vitest";
import { openMemoryStore } from "../../../coordinator/store/memory-store.ts";
import { openRecords, setRecord } from "../../../coordinator/store/records.ts";
import { TABLES, type TokenRecord } from "../../../coordinator/store/tables.ts";
import { parseSiteName } from "../../../protocol/ids.ts";

it("lets each of a hundred changes of one record take place that begin at the same moment", async () => {
  const records = await openRecords(openMemoryStore());
  const token: TokenRecord = {
    id: "0123456789abcdef",
    site: parseSiteName("north"),
    usesLeft: 100,
    expiresMs: 1,
  };
  await records.change(() => ({
    changes: [setRecord(TABLES.tokens, token.id, token)],
    result: undefined,
  }));
  const useOnce = () => {
    const usesLeft = (records.get(TABLES.tokens, token.id)?.usesLeft ?? 0) - 1;
    return {
      changes: [setRecord(TABLES.tokens, token.id, { ...token, usesLeft })],
      result: usesLeft,
    };
  };

  const seen = await Promise.all(Array.from({ length: 100 }, async () => records.change(useOnce)));

  expect(new Set(seen).size).toBe(100);
  expect(records.get(TABLES.tokens, token.id)?.usesLeft).toBe(0);
});
