# Installing the daemon, its companion, their manual pages and the documents.
#   make install-daemon PREFIX=/usr/local DESTDIR=
bindir = $(DESTDIR)$(PREFIX)/bin
mandir = $(DESTDIR)$(PREFIX)/share/man
owndocdir = $(DESTDIR)$(PREFIX)/share/doc/dynamo_fdw

# They keep their places among each other, for they link to each other.
DOCUMENTS = README.md CONTRIBUTING.md LICENSE $(wildcard docs/*.md) \
            dynnode/ARCHITECTURE.md dynnode/PROTOCOL.md \
            $(addprefix dynnode/model/,messages.proto types.h status.h)

install-daemon: $(PROGRAMS)
	install -d '$(bindir)' '$(mandir)/man1' '$(mandir)/man8'
	install -m 755 $(PROGRAMS) '$(bindir)'
	install -m 644 dynnode/dynctl.1 '$(mandir)/man1'
	install -m 644 dynnode/dynnode.8 '$(mandir)/man8'
	for document in $(DOCUMENTS); do \
	    install -D -m 644 $$document '$(owndocdir)'/$$document || exit 1; done

uninstall-daemon:
	rm -f '$(bindir)/dynnode' '$(bindir)/dynctl'
	rm -f '$(mandir)/man1/dynctl.1' '$(mandir)/man8/dynnode.8'
	rm -rf '$(owndocdir)'

.PHONY: install-daemon uninstall-daemon
