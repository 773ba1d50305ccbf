import { describe, expect, it } from "vitest";
import { budgetBytes, isAmplified } from "../../../coordinator/core/line/byte-budget.ts";
import { lineWindow } from "../../../coordinator/core/line/line-window.ts";
import {
  trafficNotices,
  trafficOf,
  type TrafficInput,
} from "../../../coordinator/core/line/traffic.ts";
import { parseDigest, parseEndpointName, parsePackageRef } from "../../../protocol/ids.ts";
import { NO_WAN_BYTES, parseTraffic } from "../../../protocol/traffic.ts";

const MB = 1_000_000;
const app = {
  ...parsePackageRef("acme/app@1"),
  manifest: parseDigest("a".repeat(64)),
  wireBytes: 100 * MB,
};
const tool = {
  ...parsePackageRef("acme/tool@2"),
  manifest: parseDigest("b".repeat(64)),
  wireBytes: 10 * MB,
};
const [first, second, away] = ["pc-1", "pc-2", "laptop"].map((name) => parseEndpointName(name)) as [
  ReturnType<typeof parseEndpointName>,
  ReturnType<typeof parseEndpointName>,
  ReturnType<typeof parseEndpointName>,
];
const ref = { name: app.name, version: app.version };

function input(more: Partial<TrafficInput> = {}): TrafficInput {
  return {
    packages: [app, tool],
    sent: [
      {
        site: "berlin",
        manifest: app.manifest,
        wan: { ...NO_WAN_BYTES, lease: 100 * MB, holderUnreachable: 2 * MB, broken: MB },
      },
      { site: "~id", manifest: app.manifest, wan: { ...NO_WAN_BYTES, lease: 100 * MB } },
    ],
    reported: [
      {
        ...ref,
        endpoint: first,
        site: "berlin",
        bytes: { local: 0, peer: 60, dp: 0, origin: 40 },
      },
      {
        ...ref,
        endpoint: first,
        site: "berlin",
        bytes: { local: 5, peer: 0, dp: 0, origin: 0 },
      },
      {
        ...ref,
        endpoint: second,
        site: "berlin",
        bytes: { local: 0, peer: 30, dp: 10, origin: 60 },
      },
      { ...ref, endpoint: away, site: "~id", bytes: { local: 0, peer: 0, dp: 0, origin: 100 } },
    ],
    away: new Map([["~id", away]]),
    ...more,
  };
}

describe("traffic", () => {
  it("accounts by site and package: the line by reason, the endpoints by source", () => {
    const { sites } = parseTraffic(trafficOf(input()));

    expect(sites).toHaveLength(2);
    expect(sites[0]).toMatchObject({
      site: "berlin",
      isAway: false,
      package: "acme/app",
      wan: { lease: 100 * MB, holderUnreachable: 2 * MB, noProgress: 0, broken: MB },
      expectedBytes: 100 * MB,
      ratio: 1.03,
      sources: { local: 5, peer: 90, dp: 10, origin: 100 },
      endpointCount: 2,
    });
    expect(sites[1]).toMatchObject({ site: "laptop", isAway: true, ratio: 1 });
  });

  it("adds up the jobs of one endpoint", () => {
    const { endpoints } = trafficOf(input());

    expect(
      endpoints.map(({ endpoint, sources }) => [endpoint, sources.local, sources.peer]),
    ).toEqual([
      ["pc-1", 5, 60],
      ["pc-2", 0, 30],
      ["laptop", 0, 0],
    ]);
  });

  it("shows one site, one package, or one version of it", () => {
    const sizes = [
      { site: "berlin" },
      { site: "laptop" },
      { site: "paris" },
      { package: "acme/app" },
      { package: "acme/app@1" },
      { package: "acme/app@2" },
      { package: "acme/tool" },
    ].map((filter) => trafficOf(input(), filter).sites.length);

    expect(sizes).toEqual([1, 1, 0, 2, 2, 0, 0]);
  });

  it("raises an alarm where a line carried clearly more than one copy, and names the main reason", () => {
    const sent = [
      {
        site: "berlin",
        manifest: app.manifest,
        wan: { ...NO_WAN_BYTES, lease: 100 * MB, refetched: 25 * MB, broken: MB },
      },
      { site: "paris", manifest: app.manifest, wan: { ...NO_WAN_BYTES, lease: 115 * MB } },
    ];

    const notices = trafficNotices(trafficOf(input({ sent })));

    expect(notices).toHaveLength(1);
    expect(notices[0]).toMatchObject({
      code: "WAN_TRAFFIC_HIGH",
      message: "the line of berlin carried 1.26 times acme/app@1, most of the rest refetched",
    });
  });

  it("takes content and patches for one copy: a site may have endpoints of several versions", () => {
    const sent = [
      { site: "berlin", manifest: app.manifest, wan: { ...NO_WAN_BYTES, lease: 130 * MB } },
    ];
    const patched = { ...app, deltaBytes: 30 * MB };

    expect(trafficNotices(trafficOf(input({ sent })))).toHaveLength(1);
    expect(trafficNotices(trafficOf(input({ sent, packages: [patched, tool] })))).toEqual([]);
  });

  it("leaves small packages some room before it raises an alarm", () => {
    expect(isAmplified(1.5 * MB, MB)).toBe(false);
    expect(isAmplified(121 * MB, 100 * MB)).toBe(false);
    expect(isAmplified(123 * MB, 100 * MB)).toBe(true);
    expect(budgetBytes(100 * MB)).toBeGreaterThan(200 * MB);
  });
});

describe("line window", () => {
  /** A Monday, 12:00 UTC. */
  const noonMs = Date.UTC(2026, 10, 16, 12);
  const hourMs = 3_600_000;

  it("is open where no hours are set", () => {
    expect(lineWindow(undefined, "UTC", noonMs)).toEqual({ isOpen: true, changesMs: undefined });
    expect(lineWindow({ downBytesPerSec: 1000 }, "UTC", noonMs).isOpen).toBe(true);
  });

  it("opens and closes by the site's hours, in the site's zone before the coordinator's", () => {
    const hours = "MON 18:00-20:00";

    expect(lineWindow({ hours }, "UTC", noonMs)).toEqual({
      isOpen: false,
      changesMs: noonMs + 6 * hourMs,
    });
    expect(lineWindow({ hours }, "UTC", noonMs + 7 * hourMs)).toEqual({
      isOpen: true,
      changesMs: noonMs + 8 * hourMs,
    });
    expect(lineWindow({ hours, zone: "Asia/Dubai" }, "UTC", noonMs + 3 * hourMs).isOpen).toBe(true);
  });
});
