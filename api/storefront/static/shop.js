/* Pages work without this. With it, a search suggests while somebody types, and adding to the cart loads no page. */
(function () {
  'use strict';
  var doc = document, w = window;

  // Whatever counts may be loaded later, and takes what was said until then; on pages of no store, nothing takes it.
  w.marketplace = w.marketplace || function () { (w.marketplace.q = w.marketplace.q || []).push(arguments); };

  function say(text) {
    var place = doc.getElementById('said');
    place.textContent = '';
    // Readers say what changes, so that the same text twice has to be two changes.
    setTimeout(function () { place.textContent = text; }, 50);
  }

  /* Suggestions: the combobox pattern of WAI-ARIA 1.2, with links as options. */
  function suggest(input) {
    var form = input.form, list = null, options = [], at = -1, timer = 0, asked = 0, shown = '', known = {};
    input.setAttribute('role', 'combobox');
    input.setAttribute('aria-autocomplete', 'list');
    input.setAttribute('aria-expanded', 'false');
    input.setAttribute('aria-controls', 'options');

    function close() {
      if (list) list.remove();
      list = null;
      options = [];
      at = -1;
      input.setAttribute('aria-expanded', 'false');
      input.removeAttribute('aria-activedescendant');
    }

    function mark(next) {
      if (at >= 0) options[at].setAttribute('aria-selected', 'false');
      at = next;
      if (at < 0) { input.removeAttribute('aria-activedescendant'); return; }
      options[at].setAttribute('aria-selected', 'true');
      options[at].scrollIntoView({ block: 'nearest' });
      input.setAttribute('aria-activedescendant', options[at].id);
    }

    function show(found) {
      // What somebody has chosen stays so while it is suggested: the answer to the last key may come after it.
      var chosen = at >= 0 ? options[at].href : '', again = -1;
      close();
      if (!found.length || doc.activeElement !== input) return;
      list = doc.createElement('div');
      list.id = 'options';
      list.className = 'options';
      list.setAttribute('role', 'listbox');
      list.setAttribute('aria-label', 'Suggestions');
      options = found.map(function (each, index) {
        var option = doc.createElement('a'), text = doc.createElement('span');
        option.id = 'option-' + index;
        option.href = each.url;
        option.tabIndex = -1;
        option.setAttribute('role', 'option');
        option.setAttribute('aria-selected', 'false');
        text.textContent = each.text;
        text.dir = 'auto';
        option.append(text);
        if (each.detail) {
          var detail = doc.createElement('span');
          detail.className = 'soft';
          detail.textContent = each.detail;
          option.append(' ', detail);
        }
        list.append(option);
        if (option.href === chosen) again = index;
        return option;
      });
      form.append(list);
      input.setAttribute('aria-expanded', 'true');
      if (again >= 0) mark(again);
      say(found.length + (found.length === 1 ? ' suggestion' : ' suggestions'));
    }

    function ask() {
      var text = input.value.trim(), mine = ++asked;
      if (text === shown && list) return;
      shown = text;
      if (text.length < 2) { close(); return; }
      if (known[text]) { show(known[text]); return; }
      var shop = form.elements.shop ? '&shop=' + encodeURIComponent(form.elements.shop.value) : '';
      fetch(input.dataset.suggest + '?q=' + encodeURIComponent(text) + shop, { headers: { accept: 'application/json' } })
        .then(function (answer) { return answer.ok ? answer.json() : { suggestions: [] }; })
        .then(function (found) {
          known[text] = found.suggestions;
          // An answer that was overtaken by a later question is not shown.
          if (mine === asked) show(found.suggestions);
        })
        .catch(function () {});
    }

    input.addEventListener('input', function () { clearTimeout(timer); timer = setTimeout(ask, 120); });
    input.addEventListener('keydown', function (event) {
      if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
        if (!list) { shown = ''; ask(); return; }
        event.preventDefault();
        var step = event.key === 'ArrowDown' ? 1 : -1, count = options.length + 1;
        mark((at + 1 + step + count) % count - 1);
      } else if (event.key === 'Enter' && at >= 0) {
        event.preventDefault();
        options[at].click();
      } else if (event.key === 'Escape' && list) {
        event.preventDefault();
        close();
      }
    });
    form.addEventListener('focusout', function (event) { if (!form.contains(event.relatedTarget)) close(); });
    // A press on a suggestion must not move the focus before it is followed.
    form.addEventListener('mousedown', function (event) { if (list && list.contains(event.target)) event.preventDefault(); });
  }

  function count(number) {
    var place = doc.getElementById('in-cart');
    place.textContent = number;
    place.hidden = !number;
  }

  /* Add to cart: the same form, sent without leaving the page; whatever goes wrong, the browser sends it as ever. */
  function adding(form) {
    var button = form.querySelector('[name=add-to-cart]');
    if (!button) return;
    form.addEventListener('submit', function (event) {
      if (form.dataset.plain) return;
      event.preventDefault();
      if (form.dataset.busy) return;
      form.dataset.busy = '1';
      button.setAttribute('aria-disabled', 'true');
      fetch(form.action, {
        method: 'POST', body: new URLSearchParams(new FormData(form)), headers: { accept: 'application/json' }
      }).then(function (answer) {
        if (answer.status > 499 || answer.status === 403) throw 0;
        return answer.json();
      }).then(function (done) {
        if (done.url) { location.assign(done.url); return; }
        var before = button.dataset.text = button.dataset.text || button.textContent;
        if (done.once) form.elements.once.value = done.once;
        if ('count' in done) count(done.count);
        say(done.message);
        note(form, done.added ? '' : done.message);
        if (done.added) {
          countAdded(form);
          button.textContent = 'Added';
          setTimeout(function () { button.textContent = before; }, 1500);
        }
      }).catch(function () {
        // The form says itself whether it was sent before, so that nothing is added twice.
        form.dataset.plain = '1';
        form.requestSubmit(button);
      }).finally(function () {
        delete form.dataset.busy;
        button.removeAttribute('aria-disabled');
      });
    });
  }

  function countAdded(form) {
    var fields = form.elements, quantity = fields.quantity ? +fields.quantity.value : 1, group = form.querySelector('[data-variants]');
    var chosen = group && (group.matches('select') ? group.selectedOptions[0] : group.querySelector(':checked'));
    w.marketplace('add_to_cart', {
      product: fields.product.value, quantity: quantity, currency: form.dataset.currency,
      value_minor: quantity * (chosen || form).dataset.minor
    });
  }

  function note(form, text) {
    var place = form.querySelector('.note.bad');
    if (place) place.remove();
    if (!text) return;
    place = doc.createElement('p');
    place.className = 'note bad';
    place.textContent = text;
    form.append(place);
  }

  /* The secret of a link is behind #, so that no server and no log gets it unless this form is sent. */
  function linked(input) {
    if (location.hash.length > 20) {
      input.value = location.hash.slice(1);
      input.closest('.field').hidden = true;
      history.replaceState(null, '', location.pathname + location.search);
    }
  }

  function variants(group) {
    var form = group.closest('form'), figure = form.querySelector('[data-figure]');
    group.addEventListener('change', function () {
      var chosen = group.matches('select') ? group.selectedOptions[0] : group.querySelector(':checked');
      // The figure of a reduced price has more in it than the price.
      if (chosen) (figure.querySelector('.price') || figure).textContent = chosen.dataset.price;
    });
  }

  function shots(link) {
    link.addEventListener('click', function (event) {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      var large = doc.querySelector('.shot img'), small = link.querySelector('img');
      var before = { src: large.getAttribute('src'), alt: large.alt };
      large.src = link.href;
      large.alt = small.alt;
      small.src = link.href = before.src;
      small.alt = before.alt;
    });
  }

  /* A form that is done once says itself that it was sent before; with this, a second press does not send it at all. */
  function sentOnce(form) {
    var button = form.querySelector('button:not([type=button])'), before = button.textContent;
    form.addEventListener('submit', function (event) {
      if (form.dataset.busy) { event.preventDefault(); return; }
      form.dataset.busy = '1';
      button.setAttribute('aria-disabled', 'true');
      button.textContent = 'One moment\u2026';
      say('One moment');
    });
    // Who comes back to the page finds it as it was.
    addEventListener('pageshow', function () {
      delete form.dataset.busy;
      button.removeAttribute('aria-disabled');
      button.textContent = before;
    });
  }

  /* What a store counts of an order: once, and in the browser that ordered, which is known to have come from somewhere. On
     a page of one store its snippet sends it; on a page of several, each store is sent its own. */
  var NAMES = { begin: 'begin_checkout', placed: 'place_order', paid: 'purchase' };

  function countOrder() {
    each('[data-tell]', function (place) {
      var data = place.dataset, of = data.tell.split(' '), name = '_order:' + of[0] + ':', entry;
      if (of[1] === 'begin') {
        // A checkout that is loaded again is the same one.
        entry = performance.getEntriesByType('navigation')[0];
        place.remove();
        if (entry && entry.type !== 'navigate') return;
      } else {
        try {
          if (localStorage.getItem(name + of[1])) return;
          if (of[1] !== 'placed' && !localStorage.getItem(name + 'placed')) return;
          localStorage.setItem(name + of[1], '1');
        } catch (e) { return; }
      }
      var facts = { value_minor: data.value, currency: data.currency, quantity: data.quantity }, id = 'order-' + of.join('-');
      if (data.to) sendCount(place, NAMES[of[1]], facts, id, name + of[1]);
      else w.marketplace(NAMES[of[1]], Object.assign({ product: data.product }, facts), id);
    });
  }

  function sendCount(place, name, facts, id, mark) {
    var n = navigator, me;
    if (n.doNotTrack === '1' || w.doNotTrack === '1' || n.globalPrivacyControl) return;
    // The same id and time whenever it is sent: one that arrives twice is counted once.
    var event = {
      event_id: id, type: 'event', name: name, properties: facts, occurred_at: +place.dataset.at || Date.now(),
      url: location.origin + location.pathname
    };
    if (place.dataset.product) event.product = place.dataset.product;
    try { me = localStorage.getItem('_mkt'); } catch (e) {}
    if (me && !me[64]) event.visitor_id = me;
    if (n.webdriver) event.automated = true;
    fetch(place.dataset.to, {
      method: 'POST', body: JSON.stringify({ sent_at: Date.now(), events: [event] }), keepalive: true, credentials: 'omit'
    }).then(function (answer) {
      if (answer.status === 429 || answer.status > 499) throw 0;
    }).catch(function () { localStorage.removeItem(mark); });
  }

  /* The parts of a page that change by themselves, read once more; what somebody is using stays as it is. */
  function renew() {
    return fetch(location.href, { headers: { accept: 'text/html' } }).then(function (answer) {
      if (answer.redirected) { location.reload(); return false; }
      if (!answer.ok) throw 0;
      return answer.text();
    }).then(function (text) {
      if (!text) return false;
      var fresh = new DOMParser().parseFromString(text, 'text/html'), state = doc.getElementById('state');
      var before = state && state.textContent;
      each('[data-live]', function (part) {
        var next = fresh.getElementById(part.id);
        if (!next || part.contains(doc.activeElement) || part.querySelector('details[open]')) return;
        part.replaceWith(doc.importNode(next, true));
      });
      doc.title = fresh.title;
      localTimes();
      state = doc.getElementById('state');
      if (state && state.textContent !== before) say(state.textContent);
      countOrder();
      return fresh;
    });
  }

  /* What is said of an order beside its page, such as the bell's number, comes a moment after it. */
  function later() { setTimeout(function () { renew().catch(function () {}); }, 3000); }

  /* An order's page moves by itself: a stream says that it has changed, and looking now and then does where there is none. */
  function follow(part) {
    var looks = 0, stream = w.EventSource && new EventSource(part.dataset.follow);

    function moved(fresh) {
      if (fresh && !fresh.querySelector('[data-follow]')) { looks = 1e3; if (stream) stream.close(); }
    }
    function look() {
      if (++looks > 100) return;
      setTimeout(function () { renew().then(moved).catch(function () {}).then(look); }, 4000);
    }
    if (!stream) { look(); return; }
    stream.addEventListener('order', function () { renew().then(moved).catch(function () {}).then(later); });
    stream.addEventListener('error', function () { if (stream.readyState === 2 && !looks) look(); });
  }

  /* Several orders on one page: looked at now and then. */
  function look(place) {
    var looks = 0;
    (function next() {
      if (++looks > 100) return;
      setTimeout(function () {
        renew().then(function (fresh) {
          if (!fresh || fresh.querySelector('[data-look]')) next();
          else later();
        }).catch(next);
      }, place.dataset.seconds * 1000);
    })();
  }

  /* Times in the zone of whoever looks: the server knows none, and says them in UTC. */
  function localTimes() {
    var shown = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'short' });
    each('time[data-local]', function (time) {
      var text = shown.format(new Date(time.dateTime));
      if (time.textContent !== text) time.textContent = text;
    });
  }

  function each(what, work) { doc.querySelectorAll(what).forEach(work); }
  localTimes();
  each('[data-suggest]', suggest);
  each('form[data-add]', adding);
  each('[data-variants]', variants);
  each('[data-shot]', shots);
  each('#f-link', linked);
  each('form[data-once]', sentOnce);
  each('[data-follow]', follow);
  each('[data-look]', look);
  // Whatever counts is loaded by then.
  addEventListener('load', countOrder);
})();
