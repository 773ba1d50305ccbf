import { describe, expect, it } from "vitest";
import { statusText } from "../../../coordinator/cli/status-text.ts";
import { endpointsText, sitesText } from "../../../coordinator/cli/traffic.ts";
import { parseStatus } from "../../../protocol/operator-api.ts";
import { NO_WAN_BYTES, parseTraffic } from "../../../protocol/traffic.ts";

const bytes = { local: 0, peer: 2_000_000, dp: 0, origin: 1_000_000 };
const shared = { package: "acme/app", version: "1.2.3" };

const traffic = parseTraffic({
  sites: [
    {
      ...shared,
      site: "berlin",
      isAway: false,
      manifest: "a".repeat(64),
      wan: { ...NO_WAN_BYTES, lease: 1_000_000, refetched: 250_000 },
      expectedBytes: 1_000_000,
      ratio: 1.25,
      sources: bytes,
      endpointCount: 3,
    },
  ],
  endpoints: [{ ...shared, endpoint: "pc-1", site: "berlin", sources: bytes }],
});

describe("traffic as text", () => {
  it("shows what crossed a line and why, beside what the endpoints say", () => {
    const [head, line] = sitesText(traffic).split("\n");

    expect(head).toContain("REFETCHED");
    expect(line?.split(/\s{2,}/u)).toEqual([
      "berlin",
      "acme/app@1.2.3",
      "1.250",
      "1.00 MB",
      "-",
      "-",
      "250 kB",
      "-",
      "-",
      "2.00 MB",
      "-",
      "1.00 MB",
      "3",
    ]);
  });

  it("shows one line per endpoint and package, and says where there is nothing", () => {
    expect(endpointsText(traffic)).toContain("pc-1");
    expect(sitesText({ sites: [], endpoints: [] })).toBe("nothing was sent yet\n");
    expect(endpointsText({ sites: [], endpoints: [] })).toBe("no endpoint has reported yet\n");
  });
});

describe("status as text", () => {
  const look = { nowMs: Date.UTC(2026, 10, 21), style: (_style: unknown, text: string) => text };
  const site = {
    dps: [],
    wanRatio: 0,
    originBytes: 0,
    packageBytes: 0,
    forced: { holderUnreachable: 0, noProgress: 0 },
  };

  it("shows the lines that have limits, and why one is closed or what it carries", () => {
    const changesAt = "2026-11-21T18:00:00.000Z";
    const status = parseStatus({
      endpoints: [],
      sites: [
        { ...site, name: "free" },
        {
          ...site,
          name: "night",
          line: { policy: { hours: "18:00-23:59" }, isOpen: false, changesAt },
        },
        {
          ...site,
          name: "busy",
          line: {
            policy: { class: "background" },
            isOpen: true,
            rateBytesPerSec: 1_250_000,
            queueMs: 42,
          },
        },
      ],
      packages: [],
      notices: [],
    });

    const text = statusText(status, look);

    expect(text).toContain(`closed until ${changesAt}`);
    expect(text).toContain("10 Mbit/s, 42 ms queue");
    expect(text.slice(text.indexOf("LINES"))).not.toContain("free");
  });

  it("says why an endpoint serves fewer neighbours, and is silent about the others", () => {
    const endpoint = {
      id: "12D3KooWBhMbLvQHgB6aDEHH3LnQe2cPEh4zfFtc3Ymo3qPHQ5KA",
      site: "berlin",
      isAtSite: true,
      addresses: [],
      role: "agent",
      dp: null,
      lastSeen: null,
      jobs: [],
      bytes: { local: 0, peer: 0, dp: 0, origin: 0 },
      refusals: [],
    };
    const status = parseStatus({
      endpoints: [
        { ...endpoint, name: "laptop", sharing: { uploadSlots: 0, reason: "batteryLow" } },
        { ...endpoint, name: "tower", sharing: { uploadSlots: 8 } },
      ],
      sites: [],
      packages: [],
      notices: [],
    });

    const text = statusText(status, look);
    const section = text.slice(text.indexOf("SHARING LESS"));

    expect(section).toMatch(/laptop\s+0\s+on battery, below 40 %/u);
    expect(section).not.toContain("tower");
  });
});
