/** When an endpoint that is barred from its site may use the site's line. */
import { describe, expect, it } from "vitest";
import { LateTurns, QUIET_MS, WAIT_MAX_MS } from "../../../coordinator/core/line/late-turns.ts";
import { endpointIdOf } from "../../../protocol/ids.ts";

const liar = endpointIdOf(Buffer.alloc(32, 1));
const other = endpointIdOf(Buffer.alloc(32, 2));

describe("a barred endpoint", () => {
  it("BR-3 waits for nobody where nothing has been fetched", () => {
    expect(new LateTurns().waitMs(liar, "berlin", 1000)).toBe(0);
  });

  it("BR-3 waits until the others of its own site have fetched nothing for half a minute", () => {
    const turns = new LateTurns();
    turns.used("berlin", 1000);

    expect(turns.waitMs(liar, "berlin", 11_000)).toBe(QUIET_MS - 10_000);
    expect(turns.waitMs(liar, "bonn", 11_000)).toBe(0);
    turns.used("berlin", 20_000);
    expect(turns.waitMs(liar, "berlin", 1000 + QUIET_MS)).toBe(19_000);
    expect(turns.waitMs(liar, "berlin", 20_000 + QUIET_MS)).toBe(0);
  });

  it("BR-3 is served after an hour of a line that is never free, and each waits its own hour", () => {
    const turns = new LateTurns();
    for (let nowMs = 0; nowMs < WAIT_MAX_MS; nowMs += 10_000) {
      turns.used("berlin", nowMs);
      expect(turns.waitMs(liar, "berlin", nowMs)).toBe(QUIET_MS);
    }
    turns.used("berlin", WAIT_MAX_MS);

    expect(turns.waitMs(liar, "berlin", WAIT_MAX_MS)).toBe(0);
    expect(turns.waitMs(liar, "berlin", WAIT_MAX_MS + 10_000)).toBe(0);
    expect(turns.waitMs(other, "berlin", WAIT_MAX_MS)).toBe(QUIET_MS);
  });

  it("BR-3 begins a new wait once the line was free", () => {
    const turns = new LateTurns();
    turns.used("berlin", 0);
    expect(turns.waitMs(liar, "berlin", 0)).toBe(QUIET_MS);
    expect(turns.waitMs(liar, "berlin", QUIET_MS)).toBe(0);
    turns.used("berlin", WAIT_MAX_MS);

    expect(turns.waitMs(liar, "berlin", WAIT_MAX_MS)).toBe(QUIET_MS);
  });
});
