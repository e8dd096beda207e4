// Medians, quartiles and ratios of rounds, and the table that shows them.

/** One line of the table. */
export interface Row {
  /** What was measured. */
  what: string;
  /** Whose figure it is. */
  who: string;
  unit: string;
  median: number;
  /** First quartile of the rounds. */
  low: number;
  /** Third quartile of the rounds. */
  high: number;
  /** The client's figure over this one, round by round. */
  ratio?: { median: number; low: number; high: number };
  /** What the ratio may be at most. */
  target?: number;
}

function quantile(sorted: readonly number[], part: number): number {
  const at = (sorted.length - 1) * part;
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  const above = sorted[Math.ceil(at)] ?? Number.NaN;
  return below + (above - below) * (at - Math.floor(at));
}

export function summarize(values: readonly number[]): { median: number; low: number; high: number } {
  const sorted = values.toSorted((a, b) => a - b);
  return { median: quantile(sorted, 0.5), low: quantile(sorted, 0.25), high: quantile(sorted, 0.75) };
}

/** A row, with the ratio of `client` to it if that is given: both in the same rounds, in the same order. */
export function row(
  about: Pick<Row, "what" | "who" | "unit" | "target">,
  values: readonly number[],
  client?: readonly number[],
): Row {
  const ratio = client && summarize(values.map((value, round) => (client[round] ?? Number.NaN) / value));
  return { ...about, ...summarize(values), ...(ratio && { ratio }) };
}

export function table(rows: readonly Row[]): string {
  const cells = rows.map(({ what, who, unit, median, low, high, ratio, target }, at) => [
    rows[at - 1]?.what === what ? "" : what,
    who,
    `${digits(median)} ${unit}`,
    `${digits(low)} - ${digits(high)}`,
    ratio ? `${ratio.median.toFixed(2)} (${ratio.low.toFixed(2)} - ${ratio.high.toFixed(2)})` : "",
    ratio && target !== undefined ? `${ratio.median <= target ? "✓" : "✗"} <= ${target.toFixed(2)}` : "",
  ]);
  const all = [["", "", "median", "quartiles", "client / this", "target"], ...cells];
  const widths = [0, 1, 2, 3, 4, 5].map((column) => Math.max(...all.map((line) => line[column]?.length ?? 0)));
  const isNumber = (column: number) => column === 2 || column === 3;
  return all
    .map((line) =>
      line
        .map((cell, column) =>
          isNumber(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
