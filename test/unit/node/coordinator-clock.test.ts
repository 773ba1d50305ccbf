import { expect, it } from "vitest";
import { CoordinatorClock } from "../../../node/uplink/coordinator-clock.ts";

function clockAt(localMs: number, signedMs: number) {
  const time = { localMs, signedMs };
  const clock = new CoordinatorClock(
    () => time.signedMs,
    () => time.localMs,
  );
  return { time, clock };
}

it("goes by the coordinator's time where the endpoint's clock is wrong, in either direction", () => {
  const fast = clockAt(1_000_000_000, 1_000_000);
  const slow = clockAt(1_000_000, 1_000_000_000);

  fast.clock.set();
  slow.clock.set();
  fast.time.localMs += 60_000;
  slow.time.localMs += 60_000;

  expect(fast.clock.nowMs()).toBe(1_060_000);
  expect(slow.clock.nowMs()).toBe(1_000_060_000);
});

it("takes the time of an answer's way for no error of the clock", () => {
  const { clock, time } = clockAt(1_004_000, 1_000_000);

  clock.set();
  time.localMs += 10;

  expect(clock.nowMs()).toBe(1_004_010);
});

it("never goes before what was signed, also after a restart with a clock set back", () => {
  const { clock } = clockAt(5, 1_000_000);

  expect(clock.nowMs()).toBe(1_000_000);
});
