import { describe, expect, it } from "vitest";
import {
  newGate,
  step,
  type GateEvent,
  type GateRequest,
  type GateState,
} from "../../../coordinator/core/lease-gate.ts";
import { endpointIdOf, type EndpointId } from "../../../protocol/ids.ts";

const [a, b, c, d, dp] = [1, 2, 3, 4, 5].map((seed) =>
  endpointIdOf(new Uint8Array(32).fill(seed)),
) as [EndpointId, EndpointId, EndpointId, EndpointId, EndpointId];

class Site {
  state: GateState = newGate();
  nowMs = 1000;
  dps: EndpointId[] = [];
  ask(endpoint: EndpointId, want: number[], more: Partial<GateRequest> = {}) {
    return this.send({
      type: "request",
      endpoint,
      want,
      release: [],
      force: undefined,
      dps: this.dps,
      ...more,
    });
  }
  tell(type: "served" | "progress" | "broken", endpoint: EndpointId, index: number) {
    return this.send({ type, endpoint, index, dps: this.dps });
  }
  send(event: GateEvent) {
    return step(this.state, event, this.nowMs);
  }
}
const granted = (answer: { grants: readonly { index: number }[] }) =>
  answer.grants.map(({ index }) => index);

describe("lease gate", () => {
  it("grants a free fragment once and names its holder to the next", () => {
    const site = new Site();

    expect(granted(site.ask(a, [7]))).toEqual([7]);
    expect(site.ask(b, [7])).toMatchObject({
      grants: [],
      leased: [{ index: 7, holder: a, isServed: false }],
    });
    expect(site.ask(b, [7]).retryAfterMs).toBeGreaterThan(0);
  });

  it("frees all leases of a holder that is silent for 5 s, and none of one that receives bytes", () => {
    const site = new Site();
    site.ask(a, [1, 2]);
    site.ask(b, [3, 4]);
    site.nowMs += 4000;
    site.tell("progress", a, 1);
    site.nowMs += 1000;

    expect(granted(site.ask(c, [1, 2, 3, 4]))).toEqual([3, 4]);
    expect(site.ask(c, [2]).leased).toEqual([{ index: 2, holder: a, isServed: false }]);
    site.nowMs += 4000;
    expect(granted(site.ask(c, [1, 2]))).toEqual([1, 2]);
  });

  it("leaves a broken transfer to its holder for 1 s, then to others", () => {
    const site = new Site();
    site.ask(a, [1, 2]);
    site.tell("broken", a, 1);
    site.nowMs += 900;
    expect(site.ask(b, [1]).grants).toEqual([]);
    // Another transfer of the same holder says nothing about the broken one.
    site.tell("progress", a, 2);
    site.nowMs += 100;
    expect(granted(site.ask(b, [1, 2]))).toEqual([1]);
  });

  it("gives the holder of a broken transfer its whole time again when it asks", () => {
    const site = new Site();
    site.ask(a, [1]);
    site.tell("broken", a, 1);
    expect(granted(site.ask(a, [1]))).toEqual([1]);
    site.nowMs += 4900;
    expect(site.ask(b, [1]).grants).toEqual([]);
  });

  it("does not let a broken transfer of somebody else touch a lease", () => {
    const site = new Site();
    site.ask(a, [1]);
    site.tell("broken", b, 1);
    site.nowMs += 2000;

    expect(site.ask(b, [1]).grants).toEqual([]);
  });

  it("grants a released fragment at once", () => {
    const site = new Site();
    site.ask(a, [1]);
    site.ask(a, [], { release: [1] });

    expect(granted(site.ask(b, [1]))).toEqual([1]);
  });

  it("never grants a served fragment without force", () => {
    const site = new Site();
    site.ask(a, [1]);
    site.tell("served", a, 1);
    site.nowMs += 3_600_000;

    expect(site.ask(b, [1])).toMatchObject({ grants: [], leased: [{ holder: a, isServed: true }] });
  });

  it("sends a fragment again to the holder that lost it, and counts that as forced", () => {
    const site = new Site();
    site.ask(a, [1]);
    site.tell("served", a, 1);

    expect(site.ask(a, [1]).grants).toEqual([]);
    site.nowMs += 2000;
    expect(granted(site.ask(a, [1]))).toEqual([1]);
    expect(site.state.forced.holderUnreachable).toBe(1);
  });

  it("bounds a holder's leases and the number of holders", () => {
    const site = new Site();

    expect(granted(site.ask(a, [0, 1, 2, 3, 4, 5]))).toEqual([0, 1, 2, 3]);
    site.ask(b, [10]);
    site.ask(c, [20]);
    expect(site.ask(d, [30])).toMatchObject({ grants: [], leased: [] });
    expect(granted(site.ask(b, [11]))).toEqual([11]);
  });

  it("leaves the line to a DP that fetches, and opens it when the DP stalls", () => {
    const site = new Site();
    site.dps = [dp];

    expect(site.ask(a, [0])).toMatchObject({ grants: [], leased: [{ index: 0, holder: dp }] });
    expect(
      granted(
        site.ask(
          dp,
          Array.from({ length: 32 }, (_none, at) => at),
        ),
      ),
    ).toHaveLength(32);
    site.nowMs += 2900;
    expect(site.ask(a, [40]).grants).toEqual([]);
    site.nowMs += 200;
    expect(granted(site.ask(a, [40]))).toEqual([40]);
    expect(site.ask(a, [5])).toMatchObject({
      grants: [],
      leased: [{ holder: dp, isServed: false }],
    });
  });

  it("forces past an unreachable holder only after 2 s, and counts it", () => {
    const site = new Site();
    site.ask(a, [1]);
    const force = { force: "holderUnreachable" } as const;

    expect(site.ask(b, [1], force).grants).toEqual([]);
    site.nowMs += 2000;
    expect(granted(site.ask(b, [1], force))).toEqual([1]);
    site.tell("served", a, 1);
    expect(site.ask(c, [1], force).grants).toEqual([]);
    site.nowMs += 2000;
    expect(granted(site.ask(c, [1], force))).toEqual([1]);
    expect(site.state.forced).toEqual({ holderUnreachable: 2, noProgress: 0 });
  });

  it("forces for want of progress only after 30 s without a served fragment", () => {
    const site = new Site();
    const force = { force: "noProgress" } as const;
    site.ask(a, [1]);
    site.tell("served", a, 1);
    site.nowMs += 29_999;
    expect(site.ask(b, [1], force).grants).toEqual([]);
    site.nowMs += 1;
    expect(granted(site.ask(b, [1], force))).toEqual([1]);
  });

  it("lets no more than 8 forced fragments pass in 10 s", () => {
    const site = new Site();
    const all = Array.from({ length: 12 }, (_none, at) => at);
    for (const index of all) site.tell("served", a, index);
    site.nowMs += 2000;
    const force = { force: "holderUnreachable" } as const;

    expect(granted(site.ask(b, all, force))).toHaveLength(8);
    expect(granted(site.ask(c, all, force))).toHaveLength(0);
    site.nowMs += 10_000;
    expect(granted(site.ask(c, all, force))).toHaveLength(8);
  });
});
