/**
 * Address ranges: ordered lists such as `10.2.0.0/16,!192.168.2.3/32,192.168.2.0/24` (OCO-15…OCO-20).
 * Evaluated from left to right; the first range that holds decides, a negated one against (OCO-19).
 */
import { DeployError } from "./errors.ts";
import { isInCidr, parseCidr, type Cidr } from "./location-match.ts";

export interface AddressRange {
  readonly isNegated: boolean;
  readonly cidr: Cidr;
}

/** Blanks around the parts do not count (OCO-17). Throws INPUT_INVALID naming the place. */
export function parseAddressRanges(text: string): readonly AddressRange[] {
  let at = 1;
  return text.split(",").map((part) => {
    const place = at;
    at += part.length + 1;
    const plain = part.trim();
    const isNegated = plain.startsWith("!");
    try {
      return { isNegated, cidr: parseCidr(isNegated ? plain.slice(1) : plain) };
    } catch (cause) {
      const what = `the address ranges "${text.slice(0, 200)}" at character ${place}`;
      const expected =
        "ranges such as 10.1.0.0/16, !10.1.2.3 or 2001:db8::/32, separated by commas";
      throw new DeployError("INPUT_INVALID", { what, expected }, { cause });
    }
  });
}

/** Whether an address is inside; a list without any plain range admits what no negated one refuses. */
export function admitsAddress(ranges: readonly AddressRange[], address: string): boolean {
  const deciding = ranges.find(({ cidr }) => isInCidr(address, cidr));
  if (deciding !== undefined) return !deciding.isNegated;
  return ranges.every(({ isNegated }) => isNegated);
}
