/** What a scenario is, and what it is judged by. */

/** The conditions of a run; the defaults are those of distribution 6. */
export interface Conditions {
  /** Agents of the office. */
  readonly peers: number;
  readonly sizeBytes: number;
  readonly wan: string;
  readonly lan: string;
  /** One raw TCP stream on the same line: what time and bytes are compared with. */
  readonly raw: { readonly time: number; readonly wan: number };
}

export interface Check {
  readonly what: string;
  readonly expected: string;
  readonly seen: number;
  readonly isMet: boolean;
}

export interface Scenario {
  /** Number in distribution 6. */
  readonly id: number;
  readonly title: string;
  readonly run: (conditions: Conditions) => Promise<readonly Check[]>;
}

export function atMost(what: string, bound: number, seen: number): Check {
  return { what, expected: `<= ${bound}`, seen, isMet: seen <= bound };
}

export function atLeast(what: string, bound: number, seen: number): Check {
  return { what, expected: `>= ${bound}`, seen, isMet: seen >= bound };
}

/** For contrast: nothing is expected of it. */
export function shown(what: string, seen: number): Check {
  return { what, expected: "-", seen, isMet: true };
}
