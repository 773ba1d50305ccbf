/** Plain columns without borders, as wide as their widest cell on a real screen. */
import { stripVTControlCharacters } from "node:util";
import stringWidth from "string-width";

const GAP = "   ";

/** Lines end with a newline; no cell is padded at the end of its line. */
export function tableText(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const lines = [headings, ...rows];
  const widths = headings.map((_heading, column) =>
    Math.max(...lines.map((line) => stringWidth(line[column] ?? ""))),
  );
  return lines.map((line) => `${lineText(line, widths)}\n`).join("");
}

/**
 * Text from nodes (names, reasons, output) may not move the cursor or colour the operator's screen.
 * Every control character becomes a space.
 */
export function shownText(text: string): string {
  return stripVTControlCharacters(text)
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ")
    .trim();
}

function lineText(cells: readonly string[], widths: readonly number[]): string {
  const padded = widths.map((width, column) => {
    const cell = cells[column] ?? "";
    return cell + " ".repeat(width - stringWidth(cell));
  });
  return padded.join(GAP).trimEnd();
}
