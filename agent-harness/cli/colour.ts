/** Colours of a terminal, by the number that switches them on. */
export const colours = {
  bold: 1,
  dim: 2,
  red: 31,
  green: 32,
  yellow: 33,
  blue: 34,
  magenta: 35,
  cyan: 36,
} as const;
export type Colour = keyof typeof colours;

/** A text in a colour, where colours are wanted. */
export const paint = (text: string, colour: Colour, wanted: boolean): string =>
  wanted && text !== "" ? `\x1b[${colours[colour]}m${text}\x1b[0m` : text;

const ofAgents: readonly Colour[] = ["cyan", "yellow", "green", "magenta", "blue", "red"];

/** The colour of an agent, the same each time; neighbours differ. */
export const agentColour = (id: number): Colour => ofAgents[id % ofAgents.length] ?? "cyan";
