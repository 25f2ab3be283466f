;; Tries to smuggle a header into its reason.
;;; module
(data (i32.const 1024) "no\r\nset-cookie: a=b\1b[31m")
;;; pick
(call $refuse (i32.const 403) (i32.const 1024) (i32.const 24))
