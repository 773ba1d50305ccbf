/** Sizes as a person types them: a whole number with its unit, or a share of a whole. */
import { DeployError } from "../../protocol/errors.ts";

export type SizeOrShare =
  | { readonly kind: "bytes"; readonly sizeBytes: number }
  /** From 0 to 1. */
  | { readonly kind: "share"; readonly share: number };

const UNIT_BYTES = { kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 } as const;

/** `500MB`, `10GB`, `1TB`: decimal units, as everywhere. */
export function parseSize(what: string): (text: string) => number {
  return (text) => {
    const sizeBytes = sizeOf(text);
    if (sizeBytes === undefined) throw invalid(what, text, "a size such as 500MB, 10GB or 1TB");
    return sizeBytes;
  };
}

/** A size, or a share of the disk such as `20%`. */
export function parseSizeOrShare(what: string): (text: string) => SizeOrShare {
  return (text) => {
    const sizeBytes = sizeOf(text);
    if (sizeBytes !== undefined) return { kind: "bytes", sizeBytes };
    const percent = Number(/^(?<percent>[0-9]{1,2}|100)%$/u.exec(text.trim())?.groups?.["percent"]);
    if (Number.isNaN(percent)) {
      throw invalid(what, text, "a size such as 10GB, or a share of the disk such as 20%");
    }
    return { kind: "share", share: percent / 100 };
  };
}

function sizeOf(text: string): number | undefined {
  const found = /^(?<count>[0-9]{1,6})(?<unit>kB|MB|GB|TB)$/u.exec(text.trim());
  const unit = found?.groups?.["unit"];
  if (!isUnit(unit)) return undefined;
  return Number(found?.groups?.["count"]) * UNIT_BYTES[unit];
}

function isUnit(text: string | undefined): text is keyof typeof UNIT_BYTES {
  return text !== undefined && Object.hasOwn(UNIT_BYTES, text);
}

function invalid(what: string, text: string, expected: string): DeployError {
  return new DeployError("INPUT_INVALID", { what: `${what} "${text.slice(0, 100)}"`, expected });
}
