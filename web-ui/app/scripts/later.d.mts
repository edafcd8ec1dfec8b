export const LATER: string[];
export function comesLater(code: string): boolean;
