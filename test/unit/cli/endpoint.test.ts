import { describe, expect, it } from "vitest";
import { pageText, whyText } from "../../../coordinator/cli/endpoint.ts";
import {
  endpointIdOf,
  parseEndpointName,
  parsePackageRef,
  parseSiteName,
} from "../../../protocol/ids.ts";
import type { EndpointDetail, Why } from "../../../protocol/page-api.ts";

const NOW_MS = Date.UTC(2026, 10, 21, 12);
const name = parseEndpointName("berlin-01");
const job: Why["jobs"][number] = {
  ...parsePackageRef("acme/app@1"),
  operation: "install",
  state: "succeeded",
  from: ["rule/nightly"],
  attempt: 1,
  attemptLimit: 3,
  reasons: [],
  isPreview: false,
};
const page: EndpointDetail = {
  name,
  id: endpointIdOf(new Uint8Array(32).fill(1)),
  site: parseSiteName("berlin"),
  tenant: "default",
  groups: [],
  installed: [],
  detected: [],
  scannedAt: null,
  runs: [],
};
const bar: NonNullable<Why["bar"]> = {
  reason: "reports",
  since: "2026-11-21T11:00:00.000Z",
  until: "2026-11-22T11:00:00.000Z",
  text: "berlin-01 is barred from its site: a, b, c say that it sends wrong bytes",
  hint: "Check the machine and its program, then: branchline ban lift berlin-01",
};
const lines = `berlin-01 is barred from its site: a, b, c say that it sends wrong bytes, since 1h 0m ago, until 2026-11-22T11:00:00.000Z
hint: Check the machine and its program, then: branchline ban lift berlin-01
`;

describe("what is shown of an endpoint that is barred", () => {
  it("BR-3 stands above the reasons: why, since when, until when, and how it is lifted", () => {
    const jobs = "acme/app@1 install: succeeded, attempt 1 of 3\n  wanted by rule/nightly\n";

    expect(whyText({ endpoint: name, jobs: [job], bar }, NOW_MS)).toBe(`${lines}\n${jobs}`);
    expect(whyText({ endpoint: name, jobs: [job] }, NOW_MS)).toBe(jobs);
    const nothing = whyText({ endpoint: name, jobs: [], bar }, NOW_MS);
    expect(nothing).toBe(`${lines}nothing is wished of berlin-01\n`);
  });

  it("BR-3 stands on its page, also where only an operator ends it", () => {
    const { until: _until, ...endless } = bar;

    expect(pageText({ ...page, bar }, NOW_MS)).toBe(pageText(page, NOW_MS) + lines);
    const text = pageText({ ...page, bar: endless }, NOW_MS);
    expect(text).toContain("since 1h 0m ago, until it is lifted\nhint: ");
  });
});
