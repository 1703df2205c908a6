/* Page views, clicks and named events of a page; nothing under DNT and Global Privacy Control. `make snippet` makes m.js
   of this file. */
(() => {
  const each = (names, work) => names.split(' ').forEach(work);
  // Under the flag u only halves of pairs are found, and the cut can leave one.
  const cut = (text, most = 2048) => String(text ?? '').slice(0, most).replace(/[\ud800-\udfff]/gu, '');
  const uuid = () => crypto.getRandomValues(new Uint32Array(4)).join('-');
  const bare = url => url.split(/[?#]/)[0];
  const warn = text => text === said || console.warn('m.js: ' + (said = text));
  const listen = (names, work) => each(names, name => addEventListener(name, work, true));
  const here = location, d = document, html = d.documentElement, old = self.marketplace;
  // A route behind the # becomes the end of the path: what counts pages looks at nothing else.
  const page = () => bare(here.href) + (set.hash != null && /^#[!/]/.test(here.hash) ? '%23' + bare(here.hash.slice(1)) : '');
  const product = el => cut(el?.dataset.product, 128);
  let fresh, wait = 1e3, said, timer, depth, queue = [], tag = d.currentScript, from = d.referrer, me, last, to, flying = 0;

  // A module has no script of its own, and tag managers strip attributes: any tag that has the key will do.
  if (!tag?.dataset.key)
    tag = d.querySelector('script[data-key][src*="/m.js"]') || tag || d.querySelector('script[src*="/m.js"]') || {};
  const set = {
    url: tag.src, ...self.marketplaceConfig, ...tag.src && Object.fromEntries(new URL(tag.src).searchParams), ...tag.dataset
  };
  if (!set.key || !set.url) return warn('no key');
  if (old?.key === set.key) return;
  self.marketplace = named;
  named.key = set.key;
  if (+navigator.doNotTrack || navigator.globalPrivacyControl) return;
  to = '' + new URL('/v1/collect?key=' + set.key, set.url);

  try {
    me = set.cookieDomain && /\b_mkt=([\w-]+)/.exec(d.cookie)?.[1] || localStorage._mkt || uuid();
    // Another script's value under this name, which the collector would refuse.
    if (me[64]) me = uuid();
    if (set.cookieDomain)
      d.cookie = `_mkt=${me};path=/;max-age=31536000;samesite=lax;domain=` + set.cookieDomain + (here.protocol > 'http:' ? ';secure' : '');
    localStorage._mkt = me;
  } catch { me = 0[0]; }

  // Old libraries give arrays and objects a toJSON: events have no prototype, and are written one by one.
  function add(type, more) {
    const event = {
      __proto__: null, event_id: uuid(), visitor_id: me, occurred_at: Date.now(), automated: navigator.webdriver, type,
      url: cut(page() + here.search + here.hash), referrer: cut(bare(from)), ...more
    };
    queue = queue.concat(event).slice(-200);
    later();
    return event;
  }

  function later() { if (queue[0]) timer = timer || setTimeout(flush, wait); }

  function settle() {
    if (fresh && last === page()) fresh.product = product(html);
  }

  function view(e) {
    const now = page();
    // A page that comes back hears nothing of what it sent when it was left.
    if (e?.persisted) flying = 0;
    else if (d.prerendering || now === last) return;
    from = last || from;
    last = now;
    depth = 25;
    // Routers render before or after they navigate, or when they have what they show: the product is read once more later.
    setTimeout(settle);
    fresh = add('view');
  }

  function named(name, given, id) {
    if (!to) return;
    if (!name) return warn('no name');
    if (name[64]) warn('cut ' + name);
    const properties = { __proto__: null }, more = { name: cut(name, 64), product: product(html), properties };
    if (id) {
      more.event_id = cut(id, 64);
      try {
        // An order's number is the id of more than one event about it.
        if (localStorage[id = '_mkt' + [name, id]]) return;
        localStorage[id] = 1;
      } catch {}
    }
    Object.entries(given || {}).slice(0, 20).forEach(([label, value]) => {
      if (label === 'product') more.product = cut(value, 128);
      else if (/^[bns]/.test(typeof value)) properties[cut(label, 64)] = cut(value, 200);
    });
    add('event', more);
  }

  function click(e) {
    settle();
    // What a form has is hidden by fields of the same name.
    const at = what => e.composedPath().find(place => place.matches?.call?.(place, what));
    const el = at('a[*|href],[type=image],[type=button],[type=reset],[type=submit],[role=button],summary,button,area')
      || at('[data-product]:not(html)');
    const link = el === at('a,area');
    // The middle button opens a link, and does nothing to others.
    if (!el || e.button > link) return;
    let name, target;
    if (link) try {
      const to = new URL(el.href.baseVal || el.href, d.baseURI);
      target = to.host ? to.origin + to.pathname : to.protocol;
      if (set.downloads != null && /\.(pdf|zip|(doc|xls|ppt)x?|csv|mp[34])$/i.test(target)) name = 'file_download';
      else if (set.outbound != null && to.host && !('.' + to.hostname).endsWith('.' + (set.cookieDomain || here.hostname))) name = 'outbound_click';
      // A link that leads nowhere else (the page, a script, a blob) is a button.
      if (/^[jb]/.test(target) || target === bare(here.href)) target = '';
    } catch {}
    each('name id aria-label value', label => target = target || el.getAttribute.call?.(el, label));
    add(name ? 'event' : 'click', { name, target: cut(target || el.textContent.trim?.(), 512), product: product(at('[data-product]')) });
  }

  async function flush() {
    timer = clearTimeout(timer);
    settle();
    fresh = 0;
    let count = 20, sent, body, size;
    if (!queue[0] || d.prerendering || flying > 0 && !d.hidden) return;
    // Browsers take 64 KiB of requests that outlive a page, all together.
    do {
      body = `{"sent_at":${Date.now()},"events":[${queue.slice(0, count).map(JSON.stringify)}]}`;
      size = new Blob([body]).size;
    } while (size + flying > 6e4 && --count);
    if (!count) return;
    const batch = queue.splice(0, count);
    flying += size;
    flush();
    // A page's own fetch may throw, give nothing, or take nothing but a text.
    try {
      sent = fetch(to, { body, method: 'POST', keepalive: 1 });
      sent = await sent;
      if (/429|5../.test(sent.status)) throw 0;
      wait = 1e3;
      if (sent.ok === false) warn(await sent.text() || sent.status);
    } catch {
      if (sent || !navigator.sendBeacon(to, body)) {
        queue = batch.concat(queue);
        wait = wait > 3e4 ? 6e4 : wait * 2;
      }
    }
    flying -= size;
    later();
  }

  if (self.navigation) navigation.addEventListener('currententrychange', view);
  else each('pushState replaceState', name => {
    const original = history[name];
    history[name] = (...given) => {
      view(original.apply(history, given));
    };
  });
  listen('popstate pageshow prerenderingchange', view);
  listen('visibilitychange pagehide', flush);
  listen('click auxclick', click);
  if (set.scroll != null) listen('scroll', () => {
    for (; depth < 101 && scrollY + innerHeight + 1 > html.scrollHeight * depth / 100; depth += 25) named('scroll', { percent: depth });
  });
  view();
  old?.q?.forEach(given => named(...given));
})();
