// The icons, each drawn on 24 by 24 with a round stroke of 1.6.

/** A circle as a path, so that an icon is one path. */
function ring(x: number, y: number, r: number): string {
  return `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
}

const DROP = 'M12 2.5c4 5 6.5 8 6.5 11.700a6.5 6.5 0 0 1-13 0C5.5 10.5 8 7.5 12 2.500z';

export const ICONS = {
  overview: 'M4 11 12 4l8 7v8.500a.5.5 0 0 1-.5.5h-15a.5.5 0 0 1-.5-.5z',
  meters: 'M4 16a8 8 0 1 1 16 0M12 16l3.5-5M4 19.500h16',
  buses: `M3 12h18M7 12V6M12 12v6M17 12V6${ring(7, 4.5, 1.7)}${ring(12, 19.5, 1.7)}${ring(17, 4.5, 1.7)}`,
  cloud: 'M7 18.500a4.2 4.2 0 0 1-.5-8.400A5.8 5.8 0 0 1 17.7 11a3.8 3.8 0 0 1-.4 7.500z',
  analysis: 'M4 4v15.500h16.500M7.5 15l4-5 3.200 3L19 7',
  more: 'M4 7h16M4 12h16M4 17h16',
  setup: `M4 7h9M17 7h3M4 17h3M11 17h9${ring(15, 7, 2)}${ring(9, 17, 2)}`,
  sites: 'M4 20V8l7-4v16M11 20V10l9 3v7M2.5 20h19M7 10v.1M7 14v.1M15 15v.1',

  heat: 'M7 3c2.2 3-2.2 5 0 9s-1 6 0 9M12 3c2.2 3-2.2 5 0 9s-1 6 0 9M17 3c2.2 3-2.2 5 0 9s-1 6 0 9',
  power: 'M13 2 5 13.500h6L10.5 22 19 10h-6.200z',
  cooling:
    'M12 2v20M3.3 7l17.4 10M3.3 17 20.7 7M9.5 3.8 12 6l2.5-2.200M9.5 20.2 12 18l2.5 2.200M3.6 10.4 7 9.2 6.4 5.600M20.4 13.6 17 14.800l.6 3.600M3.6 13.6 7 14.800l-.6 3.600M20.4 10.4 17 9.200l.6-3.6',
  water: DROP,
  hotwater: `${DROP}M9 14c1.2-1.4 1.8-1.4 3 0s1.8 1.4 3 0`,
  gas: 'M12 2.500c.6 4 5.8 6.2 5.8 11.600A5.9 5.9 0 0 1 12 20.500a5.9 5.9 0 0 1-5.8-6.200c0-2.6 1.5-4.2 2.6-5.5.3 1.7 1 2.5 1.9 2.900C10.3 8.5 10.6 5.3 12 2.500zM5 22.500h14',
  solar: `${ring(12, 12, 4)}M12 2.500v2.500M12 19v2.500M2.5 12H5M19 12h2.500M5.3 5.3 7 7M17 17l1.7 1.700M18.7 5.3 17 7M7 17l-1.7 1.7`,
  climate: 'M10 13.500V5a2 2 0 1 1 4 0v8.500a4.5 4.5 0 1 1-4 0zM12 9v8',
  other: `${ring(12, 12, 8)}M12 8v8M8 12h8`,

  ok: `${ring(12, 12, 9)}M8 12.300l2.8 2.700L16 9.5`,
  late: 'M12 3a9 9 0 1 1-8.6 6.300M12 7v5.200l3.4 2',
  silent: 'M9 9l6 6M15 9l-6 6',
  memory:
    'M12 3v9M8.5 8.8 12 12.300l3.5-3.500M4 13v5.500A1.5 1.5 0 0 0 5.5 20h13a1.5 1.5 0 0 0 1.5-1.500V13M4 14h4l1.5 2.500h5L16 14h4',
  corrected:
    'm5 19 .9-4L16 4.900a1.9 1.9 0 0 1 2.7 0l.4.4a1.9 1.9 0 0 1 0 2.700L9 18.100zM14.5 6.500l3 3',
  clock: `${ring(12, 12, 9)}M9.6 9.500a2.4 2.4 0 1 1 3.5 2.100c-.8.4-1.1.9-1.1 1.700M12 16.400v.1`,
  warn: 'M12 4 2.8 20h18.400zM12 10v4.500M12 17.300v.1',
  new: `${ring(12, 12, 9)}M12 11v5.500M12 7.600v.1`,

  table: 'M4 5h16v14H4zM4 10h16M4 14.500h16M10 10v9',
  download: 'M12 4v11M7.5 10.8 12 15.300l4.5-4.500M5 20h14',
  left: 'm14.5 6-6 6 6 6',
  right: 'm9.5 6 6 6-6 6',
  plus: 'M12 5v14M5 12h14',
  minus: 'M5 12h14',
  lock: 'M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3',
  play: 'M7 5v14l11.5-7z',
  search: `${ring(10.5, 10.5, 6)}M15 15l5 5`,
  exit: 'M14 4h5.500v16H14M4 12h10.500M10.5 8l4 4-4 4',
} as const;

export type IconName = keyof typeof ICONS;

/** The broken ring around the cross of a silent meter. */
export const BROKEN_RING = ring(12, 12, 9);
