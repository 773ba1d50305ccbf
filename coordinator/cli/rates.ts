/** Rates and hours as a person types and reads them: `8Mbit`, `MON 18:00-23:59`. */
import { DeployError } from "../../protocol/errors.ts";
import { parseTimeFrames } from "../../protocol/time-frame.ts";

/** Bits per second by unit; decimal, as lines are sold. */
const UNIT_BITS = { bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9 } as const;
const BYTES_PER_SEC_MIN = 1000;
const BYTES_PER_SEC_MAX = 125_000_000_000;

/** `8Mbit`, `512kbit`, `1.5 Gbit/s` as bytes per second. */
export function parseRate(what: string): (text: string) => number {
  return (text) => {
    const found = /^(?<count>\d{1,9}(?:\.\d{1,3})?)\s?(?<unit>[kmg]?bit)(?:\/s)?$/iu.exec(
      text.trim(),
    );
    const unit = found?.groups?.["unit"]?.toLowerCase();
    const bits = Number(found?.groups?.["count"]) * (isUnit(unit) ? UNIT_BITS[unit] : Number.NaN);
    const bytesPerSec = Math.round(bits / 8);
    if (bytesPerSec >= BYTES_PER_SEC_MIN && bytesPerSec <= BYTES_PER_SEC_MAX) return bytesPerSec;
    throw new DeployError("INPUT_INVALID", {
      what: `${what} "${text.slice(0, 100)}"`,
      expected: "a rate from 8kbit to 1000Gbit, such as 512kbit or 8Mbit",
    });
  };
}

/** Checks the frames and keeps them as they were typed. */
export function parseHours(text: string): string {
  parseTimeFrames(text);
  return text;
}

/** Three digits: 8 Mbit/s, 1.25 Gbit/s. */
export function rateText(bytesPerSec: number): string {
  const bits = bytesPerSec * 8;
  const [unit, size] = rateUnit(bits);
  return `${Number((bits / size).toPrecision(3))} ${unit}/s`;
}

function rateUnit(bits: number): readonly [string, number] {
  if (bits >= UNIT_BITS.gbit) return ["Gbit", UNIT_BITS.gbit];
  if (bits >= UNIT_BITS.mbit) return ["Mbit", UNIT_BITS.mbit];
  return ["kbit", UNIT_BITS.kbit];
}

function isUnit(text: string | undefined): text is keyof typeof UNIT_BITS {
  return text !== undefined && Object.hasOwn(UNIT_BITS, text);
}
