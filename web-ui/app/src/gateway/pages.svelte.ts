// The pages of the gateway, as the rail and the tab bar list them.
import type { NavItem } from '../lib/Frame.svelte';
import { t } from '../lib/text.svelte';
import { can } from './session.svelte';

/** Those that whoever is logged in may open. */
export function pages(): NavItem[] {
  return [
    { href: '/', icon: 'overview', word: t('nav.overview') },
    { href: '/meters', icon: 'meters', word: t('nav.meters'), also: ['/plan'] },
    { href: '/analysis', icon: 'analysis', word: t('nav.analysis') },
    ...(can('inspect')
      ? ([
          { href: '/buses', icon: 'buses', word: t('nav.buses') },
          {
            href: '/cloud',
            icon: 'cloud',
            word: t('nav.cloud'),
            short: t('nav.cloud.short'),
            also: ['/promise'],
          },
        ] as const)
      : []),
    {
      href: '/setup',
      icon: 'setup',
      word: t('nav.setup'),
      also: ['/me', '/people', '/certificate'],
    },
  ];
}
