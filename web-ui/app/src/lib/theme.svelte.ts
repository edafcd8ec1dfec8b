// Light, dark, or as the system has it. Kept by this browser.

export type Theme = 'system' | 'light' | 'dark';
export const THEMES: readonly Theme[] = ['system', 'light', 'dark'];

let current = $state<Theme>('system');

/** The choice of this browser. */
export function theme(): Theme {
  return current;
}

/** Chooses, and remembers it. */
export function setTheme(next: Theme): void {
  localStorage.setItem('fyrhus.theme', next);
  apply(next);
}

/** Takes up what was chosen before. */
export function startTheme(): void {
  const kept = localStorage.getItem('fyrhus.theme');
  apply(THEMES.find((it) => it === kept) ?? 'system');
}

function apply(next: Theme): void {
  current = next;
  // The system also says how much contrast it wants; a theme of ours keeps that wish.
  const contrast = matchMedia('(prefers-contrast: more)').matches ? 'contrast-' : '';
  if (next === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = contrast + next;
}
