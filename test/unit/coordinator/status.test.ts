import { describe, expect, it } from "vitest";
import { statusOfFleet, type StatusMember } from "../../../coordinator/core/status.ts";
import {
  endpointIdOf,
  parseDigest,
  parseEndpointName,
  parsePackageRef,
  parseSiteName,
} from "../../../protocol/ids.ts";
import { parseStatus } from "../../../protocol/operator-api.ts";

const id = endpointIdOf(new Uint8Array(32).fill(1));
const berlin = parseSiteName("berlin");
const ref = parsePackageRef("acme/app@1");
const manifest = parseDigest("a".repeat(64));
const bytes = { local: 0, peer: 0, dp: 0, origin: 0 };
const member = (more: Partial<StatusMember> = {}): StatusMember => ({
  id,
  name: parseEndpointName("pc"),
  isDp: false,
  site: berlin,
  isAtSite: false,
  addresses: [],
  seenMs: undefined,
  joinedMs: 1000,
  dp: undefined,
  bytes,
  plan: { instructions: [], waiting: [], preview: [], changesMs: undefined },
  reports: [],
  refusals: [],
  ...more,
});
const known = {
  ...ref,
  manifest,
  match: { epoch: 1, kind: "store" as const },
  level: 5,
  isActive: true,
  wireBytes: 1000,
  fileBytes: 2000,
  fragmentCount: 3,
  createdMs: 0,
};

const traffic = (site: string, originBytes: number) => ({
  site,
  manifest,
  originBytes,
  forced: { holderUnreachable: 1, noProgress: 0 },
});

describe("status", () => {
  it("explains every job that waits, also where the endpoint was never seen", () => {
    const instruction = {
      ref,
      job: "perform-1",
      purpose: "perform" as const,
      revision: "0".repeat(16),
      sequence: 0,
      attemptLimit: 3,
      from: [],
    };
    const other = parsePackageRef("acme/tool@2");
    const plan = {
      instructions: [
        instruction,
        { ...instruction, purpose: "replicate" as const, job: "replicate-1" },
      ],
      waiting: [
        {
          ref: other,
          job: "perform-2",
          operation: "install" as const,
          from: [],
          state: "waiting" as const,
          reasons: [
            { code: "notActive" as const, text: "not activated", endsWhen: "", sinceMs: 1000 },
          ],
        },
      ],
      preview: [],
      changesMs: undefined,
    };

    const status = parseStatus(
      statusOfFleet({
        members: [member({ plan })],
        sites: [berlin],
        packages: [known],
        traffic: [],
        notices: [],
      }),
    );

    expect(
      status.endpoints[0]?.jobs.map(({ package: name, state, reason }) => [name, state, reason]),
    ).toEqual([
      ["acme/app", "waiting", "not yet picked up; last contact none since it joined"],
      ["acme/tool", "waiting", "not activated"],
    ]);
    expect(status.endpoints[0]).toMatchObject({ lastSeen: null, dp: null, isAtSite: false });
  });

  it("BR-1 divides what the origin sent into a site by the packages it sent there", () => {
    const { sites } = statusOfFleet({
      members: [],
      sites: [berlin, parseSiteName("hamburg")],
      packages: [known],
      traffic: [traffic("berlin", 1100), traffic(`~${id}`, 5000)],
      notices: [],
    });

    expect(sites[0]).toMatchObject({ wanRatio: 1.1, originBytes: 1100, packageBytes: 1000 });
    expect(sites[0]?.forced).toEqual({ holderUnreachable: 1, noProgress: 0 });
    expect(sites[1]).toMatchObject({ wanRatio: 0, originBytes: 0, packageBytes: 0 });
  });
});
