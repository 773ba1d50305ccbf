import { describe, expect, it } from "vitest";
import { pendingText, standingOf } from "../../../coordinator/cli/deployment-progress.ts";
import { statusText } from "../../../coordinator/cli/status-text.ts";
import { parsePackageRef } from "../../../protocol/ids.ts";
import { parseStatus, type Status } from "../../../protocol/operator-api.ts";

const bytes = { local: 0, peer: 2_000_000, dp: 0, origin: 1_000_000 };
const at = "2026-01-01T00:00:00Z";

function endpointOf(name: string, state: string, more: Record<string, unknown> = {}) {
  const job = { package: "acme/app", version: "1.2.3", state, attempt: 1, since: at, trace: [] };
  return {
    name,
    id: "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp",
    site: "berlin",
    isAtSite: true,
    addresses: [],
    role: "agent",
    dp: null,
    lastSeen: at,
    jobs: [{ ...job, bytes, ...more }],
    bytes,
    refusals: [],
  };
}

function statusOf(...endpoints: readonly object[]): Status {
  const site = { name: "berlin", dps: ["nas"], wanRatio: 1.0004 };
  const forced = { holderUnreachable: 1, noProgress: 2 };
  const sites = [{ ...site, originBytes: 1_000_000, packageBytes: 999_600, forced }];
  return parseStatus({ endpoints, sites, packages: [], notices: [] });
}

const look = {
  nowMs: Date.parse("2026-01-01T00:00:05Z"),
  style: (_s: unknown, text: string) => text,
};

describe("the status on the screen", () => {
  it("shows what package content takes of an endpoint's disk, where it takes any", () => {
    const cache = { usedBytes: 1_500_000_000, quotaBytes: 10_000_000_000, pinnedBytes: 2_000_000 };
    const full = { ...endpointOf("full", "succeeded"), cache };
    const empty = { ...endpointOf("empty", "succeeded"), cache: { ...cache, usedBytes: 0 } };

    const [, caches = ""] = statusText(statusOf(full, empty), look).split("CACHES\n");

    expect(caches).toMatch(/ENDPOINT +USED +QUOTA +PINNED\nfull +1\.50 GB +10\.0 GB +2\.00 MB\n/u);
    expect(caches.split("\n\n")[0]).not.toContain("empty");
  });

  it("has the sections endpoints, jobs and sites with the WAN ratio", () => {
    const text = statusText(statusOf(endpointOf("berlin-07", "succeeded", { exitCode: 0 })), look);

    expect(text).toBe(`ENDPOINTS
NAME        SITE     ROLE    DP   LAST SEEN   FROM SELF   FROM PEERS   FROM DP   FROM ORIGIN
berlin-07   berlin   agent   -    5s ago      0 B         2.00 MB      0 B       1.00 MB

JOBS
ENDPOINT    PACKAGE          STATE       RESULT   ATTEMPT   SINCE    REASON
berlin-07   acme/app@1.2.3   succeeded   exit 0   1         5s ago

SITES
NAME     DPS   WAN RATIO   FROM ORIGIN   PACKAGES   FETCHED AGAIN
berlin   nas   1.000       1.00 MB       1.00 MB    3 fragments (1 holder unreachable, 2 no progress)
`);
  });

  it("OCO-43 shows a system code apart from an exit code", () => {
    const failed = endpointOf("b", "failed", { systemCode: -9999, outcome: "failed" });

    expect(statusText(statusOf(failed), look)).toContain("failed, system code -9999");
  });

  it("shows a reason from a node as one harmless line", () => {
    const failed = endpointOf("b", "failed", { reason: "line 1\nline 2\u001B[2J" });

    expect(statusText(statusOf(failed), look)).toContain("line 1 line 2\n");
  });

  it("says what to do first in an empty fleet", () => {
    const empty = { endpoints: [], sites: [], packages: [], notices: [] };

    expect(statusText(empty, look)).toContain("next: branchline site create");
  });
});

describe("a notice", () => {
  it("stands above everything, also in an empty fleet", () => {
    const notices = [{ code: "X", message: "it ends soon", hint: "Do it." }];
    const text = statusText({ endpoints: [], sites: [], packages: [], notices }, look);

    expect(text.startsWith("warning: it ends soon\nhint: Do it.\n")).toBe(true);
  });
});

describe("where a deployment stands", () => {
  const ref = parsePackageRef("acme/app@1.2.3");

  it("is done when every endpoint has a final state", () => {
    const status = statusOf(
      endpointOf("a", "succeeded"),
      endpointOf("b", "alreadyInstalled"),
      endpointOf("c", "failed", { reason: "exit 1" }),
    );
    const standing = standingOf(status, ref, ["a", "b", "c"]);

    expect(standing.pending).toEqual([]);
    expect(standing.bad).toEqual([
      { endpoint: "c", verdict: "bad", state: "failed", reason: "exit 1" },
    ]);
  });

  it.each(["expired", "incompatible", "conflict", "failed"])("counts %s as bad", (state) => {
    expect(standingOf(statusOf(endpointOf("a", state)), ref, ["a"]).bad).toHaveLength(1);
  });

  it("waits for downloading ones, for other versions and for endpoints without a plan", () => {
    const status = statusOf(
      endpointOf("a", "downloading"),
      endpointOf("b", "succeeded", { version: "1.2.4" }),
    );
    const standing = standingOf(status, ref, ["a", "b", "c"]);

    expect(standing.pending.map(({ endpoint }) => endpoint)).toEqual(["a", "b", "c"]);
    expect(pendingText(standing)).toBe("1 downloading, 2 not planned yet");
  });
});
