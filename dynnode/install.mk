# Installing the daemon, its companion and their manual pages.
#   make install-daemon PREFIX=/usr/local DESTDIR=
bindir = $(DESTDIR)$(PREFIX)/bin
mandir = $(DESTDIR)$(PREFIX)/share/man

install-daemon: $(PROGRAMS)
	install -d $(bindir) $(mandir)/man1 $(mandir)/man8
	install -m 755 $(PROGRAMS) $(bindir)
	install -m 644 dynnode/dynctl.1 $(mandir)/man1
	install -m 644 dynnode/dynnode.8 $(mandir)/man8

uninstall-daemon:
	rm -f $(bindir)/dynnode $(bindir)/dynctl
	rm -f $(mandir)/man1/dynctl.1 $(mandir)/man8/dynnode.8

.PHONY: install-daemon uninstall-daemon
