/** How the simulated origin tells the product's lease gate what the coordinator's routes tell it. */
import { describe, expect, it } from "vitest";
import { servedHolder } from "../../coordinator/core/line/gate-state.ts";
import { endpointIdOf } from "../../protocol/ids.ts";
import { EventQueue } from "../../scripts/simulate/event-queue.ts";
import { packageShape } from "../../scripts/simulate/package-shape.ts";
import { SiteOrigin } from "../../scripts/simulate/site-origin.ts";

const [holder, other] = [1, 2].map((seed) => endpointIdOf(Buffer.alloc(32, seed)));
const LATENCY_MS = 10;
/** 5 Mbit/s. */
const BYTES_PER_MS = 625;
const FRAGMENT_BYTES = 314_572;

class Site {
  readonly queue = new EventQueue();
  readonly origin = new SiteOrigin(this.queue, {
    shape: packageShape(10 * FRAGMENT_BYTES, FRAGMENT_BYTES),
    bytesPerMs: BYTES_PER_MS,
    latencyMs: LATENCY_MS,
    dps: [],
    onCarried: () => {},
  });
  readonly ends: boolean[] = [];
  lease(endpoint = holder!) {
    this.origin.ask(endpoint, { want: [1], release: [] }, () => {});
    this.runUntil(2 * LATENCY_MS);
  }
  fetch() {
    this.origin.fetch(holder!, 1, (isWhole) => this.ends.push(isWhole));
  }
  runUntil(afterMs: number) {
    const endMs = this.queue.nowMs + afterMs;
    this.queue.planAt(endMs, () => {});
    while (this.queue.nowMs < endMs && this.queue.runNext());
  }
}

describe("the origin of a simulated site", () => {
  it("counts a fragment as sent when its kernel has taken it, before it has crossed the line", () => {
    const site = new Site();
    site.lease();
    site.fetch();
    const crossingMs = FRAGMENT_BYTES / BYTES_PER_MS;
    site.runUntil(0.9 * crossingMs);

    expect(servedHolder(site.origin.gate, 1)).toBe(holder);
    expect(site.ends).toEqual([]);
  });

  it("sends next to nothing to a program that died while its request was on the way", () => {
    const site = new Site();
    site.lease();
    site.fetch();
    site.origin.dropEndpoint(holder!, true);
    site.runUntil(5000);

    expect(site.ends).toEqual([]);
    expect(site.origin.line.carriedBytes).toBeLessThan(3 * LATENCY_MS * BYTES_PER_MS);
    site.lease(other);
    expect([...site.origin.gate.leases.values()].map((lease) => lease.holder)).toEqual([other]);
  });
});
