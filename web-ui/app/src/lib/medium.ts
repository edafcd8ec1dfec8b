// What a meter counts, as the pages show it: a hue, an icon and a word, always together.
import type { IconName } from './icons';

/** Media, as the API names them, in the order of the dashboard. */
export const MEDIA = [
  'heat',
  'electricity',
  'cooling',
  'water',
  'hot_water',
  'gas',
  'solar',
  'climate',
  'other',
] as const;

export type Medium = (typeof MEDIA)[number];

/** The class of base.css that gives the hue. Climate and the rest are neutral. */
export function hue(medium: Medium | null): string {
  switch (medium) {
    case 'electricity':
      return 'power';
    case 'hot_water':
      return 'hotwater';
    case 'climate':
    case 'other':
    case null:
      return 'neutral';
    default:
      return medium;
  }
}

/** The icon of a medium. */
export function mediumIcon(medium: Medium | null): IconName {
  switch (medium) {
    case 'electricity':
      return 'power';
    case 'hot_water':
      return 'hotwater';
    case null:
      return 'other';
    default:
      return medium;
  }
}
